"""What the interpreter cannot show: every kernel that a launch would need, compiled for an H100 or H200 without one.

Not collected by itself: triton must see neither the interpreter nor a GPU of another kind, so `test_triton` runs this
file in a process of its own.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

from atmnet.ops import _triton
from atmnet.ops._triton import _tuning

WIDE, FLOAT, HALF, BRAIN = torch.float64, torch.float32, torch.float16, torch.bfloat16
TYPES = [(BRAIN, FLOAT), (FLOAT, FLOAT), (WIDE, WIDE)]
STAGES = [(56, 64, 2, 2), (14, 320, 4, 1), (7, 512, 8, 1)]  # tokens along an axis, channels, share, tiles tried
if os.environ.get("ATMNET_TEST_LONG") == "1":
    TYPES += [(BRAIN, BRAIN), (HALF, FLOAT), (FLOAT, WIDE)]
    STAGES[0] = (56, 64, 2, 9)


class Absent:
    """Stands in for the driver of a GPU that is not there."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0


class Ahead:
    """Stands in for a tuned kernel: its launch compiles the first tiles instead."""

    def __init__(self, tuned: Any, tiles: int, kernels: list[Any]) -> None:
        self.tuned, self.tiles, self.kernels = tuned, tiles, kernels

    def __getitem__(self, grid: Any) -> Any:
        return self.compile

    def compile(self, *args: Any, **options: Any) -> None:
        for tile in self.tuned.configs[: self.tiles]:
            self.kernels.append(self.tuned.fn.warmup(*args, grid=(1,), **options, **tile.all_kwargs()))


@pytest.fixture
def compiled(monkeypatch, tmp_path_factory):
    """A function that launches kernels on tensors without memory; returns what was compiled for each direction."""
    driver.set_active(Absent())
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "triton"))

    def launch(shape, share, dtype=BRAIN, offset_dtype=FLOAT, tiles=1, both=True) -> tuple[list[Any], list[Any]]:
        forward: list[Any] = []
        backward: list[Any] = []
        with monkeypatch.context() as patch:
            for name, kernels in (("sample_kernel_for", forward), ("gradient_kernel_for", backward)):
                tuned = getattr(_tuning, name)
                ahead = lambda *args, tuned=tuned, kernels=kernels: Ahead(tuned(*args), tiles, kernels)  # noqa: E731
                patch.setattr(_tuning, name, ahead)
            x = torch.empty(shape, dtype=dtype, device="meta")
            offset = torch.empty(*shape[:-1], 2 * shape[-1] // share, dtype=offset_dtype, device="meta")
            grad = _triton.sample(x, offset, [-2, -3], True)
            if both:
                _triton.sample_backward(grad, x, offset, [-2, -3])
        return forward, backward

    return launch


def resources(kernel: Any, tmp_path: Path) -> dict[str, int]:
    """Registers of a thread (REG), bytes it spills (STACK), and so on."""
    path = tmp_path / "kernel.cubin"
    path.write_bytes(kernel.asm["cubin"])
    tool = triton.knobs.nvidia.cuobjdump.path
    usage = subprocess.run([tool, "-res-usage", path], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in re.findall(r"(\w+):(\d+)", usage)}


def check(kernel: Any, tmp_path: Path) -> None:
    """No atomics, no multiplication fused with an addition (its rounding would differ), nothing spilled."""
    ptx = kernel.asm["ptx"]
    assert "sm_90" in ptx
    assert not re.search(r"\b(atom|red|fma|cp\.async)\.", ptx)
    assert "ld.global.nc" not in ptx  # the sums are read where they are written
    assert resources(kernel, tmp_path)["STACK"] == 0


@pytest.mark.parametrize(("dtype", "offset_dtype"), TYPES, ids=str)
def test_types(dtype, offset_dtype, compiled, tmp_path):
    forward, backward = compiled((2, 7, 5, 12), 3, dtype, offset_dtype)
    assert len(forward) == 1
    assert len(backward) == 2  # one axis after the other
    for kernel in forward + backward:
        check(kernel, tmp_path)


@pytest.mark.parametrize(("tokens", "channels", "share", "tiles"), STAGES)
def test_published_stages(tokens, channels, share, tiles, compiled, tmp_path):
    forward, backward = compiled((8, tokens, tokens, channels), share, tiles=tiles)
    for kernel in forward + backward:
        check(kernel, tmp_path)
        assert resources(kernel, tmp_path)["REG"] < 128
    # The taps of a share group are one load, and offsets arrive where their taps are used.
    taps = {2: "b32", 4: "v2.b32", 8: "v4.b32"}[share]
    for kernel in forward:
        loads = re.findall(r"ld\.global(?:\.\w+)*?\.((?:v\d\.)?b32)", kernel.asm["ptx"])
        assert set(loads) == {taps, "b32"}
        assert ".shared" not in kernel.asm["ptx"]
    # What one query stored is visible to the next.
    for kernel in backward:
        assert re.search(r"bar\.(warp\.)?sync", kernel.asm["ptx"])


def test_addresses_are_as_wide_as_needed(compiled):
    for size, wide in ((128, False), (2**12, True)):  # 2^30 elements of x, but 3 * 2^30 of its samples
        for kernel in compiled((size, 64, 64, 64), 2, both=False)[0]:
            assert ("xi64>" in kernel.asm["ttir"]) == wide
