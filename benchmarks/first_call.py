"""How many seconds longer a model's first call takes than later ones: ``python -m benchmarks.first_call``.

The first call compiles the kernels (on a GPU it also times the tiles) and stores them on disk, from
where the next process loads them. Each figure is measured in a new process.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from benchmarks import script
from benchmarks.markdown import grid, place
from benchmarks.script import Settings

_PROGRAM = """
import json, sys, time
from pathlib import Path
import timm, torch
from atmnet.ops._numba import _compile
name, side, batch, device, train, cache = json.loads(sys.argv[1])
# The default folder, beside the package, already has kernels.
_compile._cache_folders = lambda: iter([(Path(cache), None)])
model = timm.create_model(name).train(train).to(device)
images = torch.randn(batch, 3, side, side, device=device)
if device == "cuda":  # do not measure the loading of CUDA's libraries
    torch.nn.functional.conv2d(images, torch.randn(8, 3, 3, 3, device=device)).sum().item()
seconds = []
for _ in range(3):
    start = time.perf_counter()
    with torch.set_grad_enabled(train):
        out = model(images).sum()
    if train:
        out.backward()
    out.item()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds[0] - min(seconds[1:])))
"""


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for inference and one for training, each with an empty cache and with the cache that this run left."""
    name, side, batch = ("atmnet_nano", 32, 1) if settings.quick else ("atmnet_tiny", 224, 8)
    for train in [False] if settings.quick else [False, True]:
        seconds = {}
        with tempfile.TemporaryDirectory() as folder:
            arguments = json.dumps([name, side, batch, settings.device.type, train, folder])
            command = [sys.executable, "-c", _PROGRAM, arguments]
            environment = os.environ | {"TRITON_CACHE_DIR": folder}
            for cache in ("empty", "kept"):
                process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                seconds[cache] = json.loads(process.stdout)
        yield {"model": name, "batch": batch, "side": side, "train": train, "seconds": seconds}


def table(record: dict[str, Any]) -> str:
    """A row for inference and for training."""
    rows = [
        [
            f"{result['model']}, {result['batch']} x 3 x {result['side']} x {result['side']}",
            "forward and backward" if result["train"] else "forward",
            *(f"{result['seconds'][cache]:.1f}" for cache in ("empty", "kept")),
        ]
        for result in record["results"]
    ]
    head = ["model", "call", "seconds, empty cache", "seconds, cached kernels"]
    return f"{grid(head, rows)}\n\n*{place(record)}. Each figure is measured once.*"


if __name__ == "__main__":
    script.run("first_call", __doc__, measure, table)
