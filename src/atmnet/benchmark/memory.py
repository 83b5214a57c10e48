"""Measures memory: the peak of a call, and the bytes that autograd saves for the backward pass."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile


def peak_bytes(call: Callable[[], object], device: torch.device | str = "cpu") -> int:
    """The most bytes that ``call`` has allocated at any time, beyond those that were allocated before it.

    ``call`` is called twice, the first time to warm up. The count includes all memory from PyTorch's allocator, also
    buffers inside C++ operators, but not memory that libraries allocate themselves.
    """
    call()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    return _peak(_allocations(call))


def saved_bytes(forward: Callable[[], object], model: nn.Module) -> int:
    """Bytes that autograd keeps after ``forward`` for the backward pass.

    Each storage counts once and in full. The parameters and buffers of ``model`` do not count.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        out = forward()  # kept alive until all is counted, so that no address is reused
        total = sum(saved.values())
    del out
    return total


def _peak(allocations: list[tuple[int, int]]) -> int:
    """The largest total of live bytes, from (address, bytes) of each allocation in order; bytes < 0 for a release."""
    live: dict[int, int] = {}
    total = peak = 0
    for address, size in allocations:
        if size > 0:
            live[address] = size
            total += size
            peak = max(peak, total)
        else:
            total -= live.pop(address, 0)  # blocks from before the call are not in the dict
    return peak


def _allocations(call: Callable[[], object]) -> list[tuple[int, int]]:
    """(address, bytes) of the CPU allocator's allocations and releases during ``call``, in order."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # keeps the profiler from writing to stderr
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    # The profiler's table has only the net memory of each operator; the trace has every event.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        trace: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    events = [event for event in trace["traceEvents"] if event.get("name") == "[memory]"]
    events = [event for event in events if event["args"]["Device Type"] == 0]
    events.sort(key=lambda event: event["ts"])
    return [(event["args"]["Addr"], event["args"]["Bytes"]) for event in events]
