"""Memory: the peak of a call, and what autograd keeps for the backward pass."""

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
    """Most bytes that ``call`` holds at once, above what was live before; it is called twice, the first to warm up.

    Counts what PyTorch's allocator hands out, buffers inside C++ operators included; not what libraries allocate for
    themselves.
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
    """Bytes that autograd keeps after ``forward`` for the backward pass: each storage once and whole, ``model``'s own
    parameters and buffers not counted."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        out = forward()  # held until all is counted: what is kept then has an address of its own
        total = sum(kept.values())
    del out
    return total


def _peak(allocations: list[tuple[int, int]]) -> int:
    """Largest sum of the live blocks among (address, bytes; negative where it is freed), in order of time."""
    live: dict[int, int] = {}
    total = peak = 0
    for address, size in allocations:
        if size > 0:
            live[address] = size
            total += size
            peak = max(peak, total)
        else:
            total -= live.pop(address, 0)  # what was there before the call may be freed in it
    return peak


def _allocations(call: Callable[[], object]) -> list[tuple[int, int]]:
    """What the CPU allocator does during ``call``."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler tells stderr that it starts, and of missing GPUs
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    # Its table attributes memory to operators, net; only the trace has every event.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        trace: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    events = [event for event in trace["traceEvents"] if event.get("name") == "[memory]"]
    events = [event for event in events if event["args"]["Device Type"] == 0]
    events.sort(key=lambda event: event["ts"])
    return [(event["args"]["Addr"], event["args"]["Bytes"]) for event in events]
