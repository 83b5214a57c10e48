"""Several ways to compute one function, measured against the published one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from atmnet.benchmark import compare, peak_bytes
from benchmarks.markdown import megabytes, times
from benchmarks.script import Settings

PUBLISHED = "published"

Runs = dict[str, dict[str, Any]]
"""By side and way ('forward' or 'training'): seconds, ratio to the published side, and peak memory."""


class Side(NamedTuple):
    """One way to compute the function.

    Attributes:
        run: Computes the output.
        leaves: Tensors whose gradients training needs.
    """

    run: Callable[[], Tensor]
    leaves: Sequence[Tensor]


def compare_with_published(sides: Mapping[str, Side], gradient: Tensor, tolerance: float, settings: Settings) -> Runs:
    """Time and peak memory of each side, forward and with the backward pass; one of them is the published one.

    Args:
        sides: The ways to compute the function, by name.
        gradient: Gradient of the output.
        tolerance: Largest relative error of an output against the published one.
        settings: Settings of the measurements.

    Raises:
        AssertionError: If a side does not compute the same function.
    """
    with torch.inference_mode():
        expected = sides[PUBLISHED].run()
        for name, side in sides.items():
            error = (side.run().to(expected.dtype) - expected).norm() / expected.norm()
            if not error < tolerance:
                raise AssertionError(f"{name}: relative error {error:.1e} against the published formulation")
    ways: dict[str, dict[str, Callable[[], object]]] = {
        "forward": {name: torch.inference_mode()(side.run) for name, side in sides.items()},
        "training": {name: partial(_gradients, side, gradient) for name, side in sides.items()},
    }
    results: Runs = {name: {} for name in sides}
    for way, runs in ways.items():
        comparison = compare(runs, settings.rounds, device=settings.device)
        for name, run in runs.items():
            results[name][way] = {
                "seconds": comparison.seconds(name)._asdict(),
                "published_over_this": comparison.ratio(PUBLISHED, name)._asdict(),
                "peak_bytes": peak_bytes(run, settings.device),
            }
    return results


def _gradients(side: Side, gradient: Tensor) -> tuple[Tensor, ...]:
    out = side.run()
    return torch.autograd.grad(out, side.leaves, gradient.to(out.dtype))


HEAD = ["forward", "forward and backward", "peak MB forward", "peak MB both"]


def cells(runs: Runs, name: str) -> list[str]:
    """The cells of a side in a table, in the columns :data:`HEAD`."""
    ratios = [times(runs[name][way]["published_over_this"]) for way in ("forward", "training")]
    peaks = [
        f"{megabytes(runs[name][way]['peak_bytes'])} (published {megabytes(runs[PUBLISHED][way]['peak_bytes'])})"
        for way in ("forward", "training")
    ]
    return ratios + peaks
