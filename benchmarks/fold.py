"""For how many tokens folding the matrices of an ATM layer is faster: ``python -m benchmarks.fold``.

Times of the layer's plain form divided by those of its folded form, for token counts around (A + 1) C (A axes), where
both need equally many multiply-adds. float32, batch 8 on a CPU and 64 on a GPU.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from atmnet.benchmark import compare
from atmnet.layers import ATM
from benchmarks import script
from benchmarks.markdown import caption, grid, times
from benchmarks.script import Settings

#: Channels C and S channels per share group, as in the stages.
WIDTHS = [(64, 2), (128, 4), (320, 4), (512, 8)]
#: Tokens N as approximate multiples of C.
MULTIPLES = [1, 2, 3, 4, 6, 12]
BATCH = {"cpu": 8, "cuda": 64}


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each width and token count."""
    batch = 1 if settings.quick else BATCH[settings.device.type]
    widths, multiples = ([(8, 2)], [1, 4]) if settings.quick else (WIDTHS, MULTIPLES)
    for channels, share in widths:
        for multiple in multiples:
            side = round((multiple * channels) ** 0.5)
            yield {"channels": channels, "tokens": side * side} | _compare(batch, side, channels, share, settings)


def _compare(batch: int, side: int, channels: int, share: int, settings: Settings) -> dict[str, Any]:
    tokens = torch.randn(batch, side, side, channels, device=settings.device, requires_grad=True)
    offset = 3 * torch.randn(batch, side, side, 2 * channels // share, device=settings.device)
    layer = ATM(channels).to(settings.device)

    def run(fold: bool, *, train: bool) -> None:
        layer.fold = fold
        with torch.set_grad_enabled(train):
            out = layer(tokens, offset)
            if train:
                torch.autograd.grad(out.sum(), [tokens, *layer.parameters()])

    ratios = {}
    for way, train in (("forward", False), ("training", True)):
        runs = {"plain": partial(run, False, train=train), "folded": partial(run, True, train=train)}
        ratios[way] = compare(runs, settings.rounds, device=settings.device).ratio("plain", "folded")._asdict()
    return ratios


def table(record: dict[str, Any]) -> str:
    """A row for each width and token count."""
    rows = [
        [
            str(result["channels"]),
            str(result["tokens"]),
            f"{result['tokens'] / result['channels']:.1f}",
            times(result["forward"]),
            times(result["training"]),
        ]
        for result in record["results"]
    ]
    head = ["C", "N", "N / C", "plain / folded, forward", "plain / folded, forward and backward"]
    return f"{grid(head, rows)}\n\n{caption(record)}"


if __name__ == "__main__":
    script.run("fold", __doc__, measure, table)
