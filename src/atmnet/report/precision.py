"""The section with precision-recall curves. K classes; 10 IoU thresholds from 0.50 to 0.95; 101 recalls from 0 to 1."""

from html import escape

import torch
from torch import Tensor

from atmnet.report.curve import Curve, Point, panel

_MAX_CLASSES = 8
_FAINT = (5, 8)
"""Indices of the IoU thresholds 0.75 and 0.90."""


def precision_section(precision: Tensor, kind: str, classes: list[str], first: int) -> tuple[str, list[list[Point]]]:
    """HTML of the section, and for each panel the points that the pointer shows; both empty if no class occurs.

    Args:
        precision: (10, 101, K), 0 to 1; see :class:`~atmnet.tasks.detection_meter.DetectionResult`.
        kind: "box" or "mask".
        classes: Names of the K classes.
        first: Number of the first panel on the page.
    """
    average = precision.nanmean(2)
    occurring = [k for k in range(len(classes)) if not precision[0, :, k].isnan().any()]
    if not occurring:
        return "", []
    worst = sorted(occurring, key=lambda k: (precision[0, :, k].mean().item(), k))[:_MAX_CLASSES]
    curves = [_curve("Mean of all classes", average[0], [average[i] for i in _FAINT])]
    if len(occurring) > 1:
        curves += [_curve(classes[k], precision[0, :, k], [average[0]]) for k in worst]
    panels = [panel(first + i, curve, 1.0) for i, curve in enumerate(curves)]
    noun = "masks" if kind == "mask" else "objects"
    text = (
        f"Precision is the share of detected {noun} that are right, recall the share of labelled ones that are "
        "detected, as the minimum score falls. A detection is right from an IoU of 0.50 on; the faint lines of the "
        "mean are for 0.75 and 0.90. "
    )
    if len(curves) > 1:
        which = "the classes" if len(worst) == len(occurring) else f"the {len(worst)} classes of the lowest AP50"
        text += f"Below are {which}, with the mean as a faint line."
    small = "".join(html for html, _ in panels[1:])
    html = (
        f'<section id="precision"><h2>Precision and recall</h2><p class="lead">{escape(text)}</p>'
        f'<div class="curves single">{panels[0][0]}</div><div class="curves small">{small}</div></section>'
    )
    return html, [points for _, points in panels]


def _curve(title: str, values: Tensor, behind: list[Tensor]) -> Curve:
    recalls = torch.linspace(0, 1, len(values)).tolist()

    def pairs(precision: Tensor) -> list[tuple[float, float]]:
        return list(zip(recalls, (100 * precision).tolist(), strict=True))

    return Curve(
        title,
        "\u202f%",
        [pairs(line) for line in behind],
        pairs(values),
        0.0,
        100.0,
        axis="precision in % over recall",
        point="precision {value} at recall {x:.2f}",
        shown=f"AP50 {100 * values.mean():.1f}\u202f%",
    )
