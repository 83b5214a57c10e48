"""Sampling along both axes against two calls of torchvision's ``deform_conv2d``: ``python -m benchmarks.operator``.

The baseline is the published formulation: offsets are materialised for both axes and all channels, for one 1x1
deformable convolution per axis. It takes offsets that are already expanded to all channels, because the published code
keeps them so for several blocks, and computes in float32, since it has no bfloat16. Ours is the sampling and the two
matrix products, for each backend. Gradients are those of tokens, offsets and weights.

The sampling alone is compared with the copy bandwidth, that is with a copy of the minimum number of bytes that it must
move: each input read once and each output written once.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atmnet.ops import available_backends, sample_along
from benchmarks import script
from benchmarks.bandwidth import compare_with_copy, total_bytes
from benchmarks.markdown import caption, grid
from benchmarks.published import Branch
from benchmarks.script import Settings
from benchmarks.sides import HEAD, PUBLISHED, Side, cells, compare_with_published

#: (B, H, W, C) tokens and S channels per share group.
SHAPES = [((4, 56, 56, 64), 2), ((4, 28, 28, 128), 4), ((4, 14, 14, 320), 4), ((4, 7, 7, 512), 8)]
#: Factor of the batch sizes on a GPU, whose caches would contain a small batch completely.
GPU_BATCHES = 64
#: Largest accepted relative error against the published formulation in float32.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each shape and dtype."""
    for shape, share in [((1, 6, 5, 8), 2)] if settings.quick else SHAPES:
        size = (shape[0] * (GPU_BATCHES if settings.device.type == "cuda" else 1), *shape[1:])
        for dtype in TOLERANCE:
            name = str(dtype).removeprefix("torch.")
            yield {"tokens": size, "share": share, "dtype": name, "runs": _compare(size, share, dtype, settings)}


def _compare(size: tuple[int, ...], share: int, dtype: torch.dtype, settings: Settings) -> Any:
    channels = size[-1]
    tokens = torch.randn(size, device=settings.device)
    offset = 3 * torch.randn(*size[:-1], 2 * channels // share, device=settings.device)
    branches = [Branch(channels, axis, bias=False).to(settings.device) for axis in range(2)]
    weights = [branch.weight for branch in branches]

    expanded = offset.repeat_interleave(share, dim=-1).permute(0, 3, 1, 2)
    theirs = (tokens.clone().requires_grad_(), expanded.requires_grad_())
    ours = (tokens.to(dtype).requires_grad_(), offset.requires_grad_())
    matrices = [weight.detach().to(dtype).requires_grad_() for weight in weights]
    sides = {PUBLISHED: Side(partial(published, *theirs, branches), [*theirs, *weights])}
    backends = available_backends(ours[0])
    for name in backends:
        sides[name] = Side(partial(mixed, *ours, matrices, name), [*ours, *matrices])

    runs = compare_with_published(sides, torch.randn_like(tokens), TOLERANCE[dtype], settings)
    for name in backends:
        runs[name]["copy"] = _bandwidth(*ours, name, settings)
    return runs


def published(tokens: Tensor, offset: Tensor, branches: list[Branch]) -> Tensor:
    """Tokens (B, H, W, C), offsets (B, 2C, H, W) -> both branches (B, H, W, C), by ``deform_conv2d``."""
    image = tokens.permute(0, 3, 1, 2)
    parts = offset.chunk(2, dim=1)
    return (branches[0](image, parts[0]) + branches[1](image, parts[1])).permute(0, 2, 3, 1)


def sampled(tokens: Tensor, offset: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    """Tokens (B, H, W, C), offsets (B, H, W, 2G) -> tokens read along the width and along the height."""
    width, height = offset.chunk(2, dim=-1)
    return sample_along(tokens, width, -2, backend), sample_along(tokens, height, -3, backend)


def mixed(tokens: Tensor, offset: Tensor, matrices: list[Tensor], backend: str) -> Tensor:
    """The same as :func:`published`, by :func:`sample_along` and matrix products."""
    width, height = offset.chunk(2, dim=-1)
    out = F.linear(sample_along(tokens, width, -2, backend).flatten(0, 2), matrices[0])
    return out.addmm_(sample_along(tokens, height, -3, backend).flatten(0, 2), matrices[1].t()).view(tokens.shape)


def _bandwidth(tokens: Tensor, offset: Tensor, backend: str, settings: Settings) -> dict[str, Any]:
    """The sampling alone against a copy, forward and backward."""
    outputs = sampled(tokens, offset, backend)
    gradients = [torch.randn_like(out) for out in outputs]
    read, written = total_bytes([tokens, offset]), total_bytes(outputs)
    forward = torch.inference_mode()(partial(sampled, tokens, offset, backend))
    backward = partial(torch.autograd.grad, outputs, [tokens, offset], gradients, retain_graph=True)
    return {
        "forward": compare_with_copy(forward, read + written, settings),
        # Both inputs and the outputs' gradients are read, the inputs' gradients are written.
        "backward": compare_with_copy(backward, 2 * read + written, settings),
    }


def table(record: dict[str, Any]) -> str:
    """A row for each shape, dtype and backend."""
    head = ["tokens", "S", "dtype", "backend", *HEAD, "% of copy bandwidth forward, backward"]
    rows = []
    for result in record["results"]:
        for name, run in result["runs"].items():
            if name == PUBLISHED:
                continue
            shares = ", ".join(f"{100 * run['copy'][way]['share']['median']:.0f}" for way in ("forward", "backward"))
            size = "x".join(map(str, result["tokens"]))
            rows.append([size, str(result["share"]), result["dtype"], name, *cells(result["runs"], name), shares])
    return f"{grid(head, rows)}\n\n{caption(record)}"


if __name__ == "__main__":
    script.run("operator", __doc__, measure, table)
