"""The ATM layer against the published formulation, at the shapes of the stages: ``python -m benchmarks.layer``.

Both take tokens and predicted offsets. The published formulation takes offsets that are already expanded to all
channels, because it keeps them so for several blocks. Gradients are those of tokens, offsets and parameters. float32.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from atmnet.layers import ATM
from benchmarks import published, script
from benchmarks.markdown import caption, grid
from benchmarks.script import Settings
from benchmarks.sides import HEAD, PUBLISHED, Side, cells, compare_with_published

#: (B, H, W, C) tokens and S channels per share group: the stages at 224 pixels, and the first at 800.
SHAPES = [
    ((8, 56, 56, 64), 2),
    ((8, 28, 28, 128), 4),
    ((8, 14, 14, 320), 4),
    ((8, 7, 7, 512), 8),
    ((1, 200, 200, 64), 2),
]
#: Factor of the batch sizes on a GPU, which a few images do not keep busy.
GPU_BATCHES = 16


def forms(channels: int) -> dict[str, nn.Module]:
    """Our layer, by the name of its form."""
    return {"ours": ATM(channels)}


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each shape."""
    for (batch, *rest), share in [((1, 6, 5, 8), 2)] if settings.quick else SHAPES:
        size = (batch * (GPU_BATCHES if settings.device.type == "cuda" else 1), *rest)
        yield {"tokens": size, "share": share, "runs": _compare(size, share, settings)}


def _compare(size: tuple[int, ...], share: int, settings: Settings) -> Any:
    channels = size[-1]
    tokens = torch.randn(size, device=settings.device, requires_grad=True)
    offset = 3 * torch.randn(*size[:-1], 2 * channels // share, device=settings.device)
    expanded = offset.repeat_interleave(share, dim=-1).permute(0, 3, 1, 2).requires_grad_()
    offset.requires_grad_()

    layers: dict[str, nn.Module] = {PUBLISHED: published.ATM(channels), **forms(channels)}
    sides = {}
    for name, layer in layers.items():
        layer.load_state_dict(layers[PUBLISHED].state_dict())
        layer.to(settings.device)
        inputs = (tokens, expanded if name == PUBLISHED else offset)
        sides[name] = Side(partial(layer, *inputs), [*inputs, *layer.parameters()])
    return compare_with_published(sides, torch.randn_like(tokens), 1e-5, settings)


def table(record: dict[str, Any]) -> str:
    """A row for each shape and form."""
    rows = [
        ["x".join(map(str, result["tokens"])), str(result["share"]), name, *cells(result["runs"], name)]
        for result in record["results"]
        for name in result["runs"]
        if name != PUBLISHED
    ]
    return f"{grid(['tokens', 'S', 'form', *HEAD], rows)}\n\n{caption(record)}"


if __name__ == "__main__":
    script.run("layer", __doc__, measure, table)
