"""The section with the learning curves: training loss and accuracy over epochs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from atmnet.report.drawing import DOT

_MAX_POINTS = 400
_MAX_MARKED = 60
"""Maximum number of points of a line for which each point is marked."""

Point = tuple[float, float, str]
"""x and y in 0 to 1 from the top left of a panel, and the text to show there."""


@dataclass(frozen=True)
class Score:
    """The number that a kind of network is measured by.

    Attributes:
        key: Its name in metrics.jsonl.
        name: Its name in a sentence.
        title: Heading of its curve.
    """

    key: str
    name: str
    title: str


@dataclass(frozen=True)
class Curve:
    """The contents of one panel.

    Attributes:
        title: Name of the quantity.
        unit: Unit, which is appended to a value.
        behind: (x, value) pairs of each faint line behind.
        line: (x, value) pairs of the line in front, whose values the pointer shows.
        low: Lower end of the axis, before it is extended to a tick.
        high: Upper end of the axis, before it is extended to a tick.
        axis: Name of x.
        point: Text that the pointer shows, for ``value`` and ``x``.
        shown: Text that is shown without a pointer. Default: that of the last point.
    """

    title: str
    unit: str
    behind: list[list[tuple[float, float]]]
    line: list[tuple[float, float]]
    low: float
    high: float
    axis: str = "epochs"
    point: str = "{value} at epoch {x:.4g}"
    shown: str = ""


def curve_section(metrics: Sequence[dict[str, Any]], score: Score) -> tuple[str, list[list[Point]]]:
    """HTML of the section, and for each panel the points that the pointer shows; both empty if there are no metrics."""
    loss = _series(metrics, "train", "loss")
    scores = _series(metrics, "evaluate", score.key)
    curves = []
    if loss:
        thinned = _thinned(loss)
        values = [value for _, value in thinned]
        low = min(0.0, *values)
        curves.append(Curve("Training loss", "", [thinned], _smoothed(thinned), low, max(*values, low + 0.1)))
    if scores:
        values = [value for _, value in scores]
        padding = 0.06 * max(max(values) - min(values), 2.0)
        low, high = max(min(values) - padding, 0.0), min(max(values) + padding, 100.0)
        curves.append(Curve(score.title, "\u202f%", [], scores, low, high))
    if not curves:
        return "", []
    end = max(curve.line[-1][0] for curve in curves)
    panels = [panel(i, curve, end) for i, curve in enumerate(curves)]
    html = (
        f'<section id="curve"><h2>Learning curve</h2><p class="lead">{escape(_summary(loss, scores, score.name))}</p>'
        f'<div class="curves">{"".join(html for html, _ in panels)}</div></section>'
    )
    return html, [points for _, points in panels]


def _series(metrics: Sequence[dict[str, Any]], kind: str, key: str) -> list[tuple[float, float]]:
    """(epoch, value of ``key``) of the lines of a kind for which both are finite numbers."""
    pairs = [(line.get("epoch"), line.get(key)) for line in metrics if line.get("kind") == kind]
    numbers = [(float(x), float(y)) for x, y in pairs if isinstance(x, int | float) and isinstance(y, int | float)]
    return [(x, y) for x, y in numbers if math.isfinite(x) and math.isfinite(y)]


def _thinned(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most ``_MAX_POINTS`` pairs, each the mean of several consecutive ones."""
    size = -(-len(pairs) // _MAX_POINTS)
    parts = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _smoothed(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The moving average over a window of about 1/15 of the curve, which is narrower at the ends."""
    half = len(pairs) // 30
    smoothed = []
    for i, (x, _) in enumerate(pairs):
        reach = min(half, i, len(pairs) - 1 - i)
        window = pairs[i - reach : i + reach + 1]
        smoothed.append((x, sum(y for _, y in window) / len(window)))
    return smoothed


def _summary(loss: list[tuple[float, float]], scores: list[tuple[float, float]], name: str) -> str:
    sentences = []
    if len(loss) > 1:
        sentences.append(f"The training loss went from {loss[0][1]:.2f} to {_smoothed(_thinned(loss))[-1][1]:.2f}.")
    if scores:
        epoch, best = max(scores, key=lambda pair: pair[1])
        last = scores[-1][1]
        text = f"{name} ended at {last:.1f}\u202f%"
        sentences.append(
            f"{text}, its best." if last == best else f"{text}; its best was {best:.1f}\u202f% at epoch {epoch:g}."
        )
    return " ".join(sentences)


def panel(index: int, curve: Curve, end: float) -> tuple[str, list[Point]]:
    """HTML of the panel of number ``index`` with x from 0 to ``end``, and the points that the pointer shows."""
    end = max(end, 1e-9)
    ticks = axis_ticks(curve.low, curve.high)
    low, high = min(curve.low, ticks[0]), max(curve.high, ticks[-1])

    def position(pair: tuple[float, float]) -> tuple[float, float]:
        """x and y in 0 to 1 from the top left of the panel."""
        return pair[0] / end, 1 - (pair[1] - low) / (high - low)

    rules, labels = [], []
    for tick in ticks:
        y = 100 * position((0, tick))[1]
        rules.append(f'<path class="rule" d="M0 {y:.2f}h100"/>')
        labels.append(f'<span class="y" style="top:{y:.2f}%">{tick:g}</span>')
    labels += [
        f'<span class="x" style="left:{100 * t / end:.2f}%">{t:g}</span>'
        for t in axis_ticks(0.0, end)
        if t <= end * 1.001
    ]

    line = [position(pair) for pair in curve.line]
    marks = (
        "".join(f"M{100 * x:.2f} {100 * y:.2f}{DOT}" for x, y in line)
        if len(line) <= _MAX_MARKED and not curve.behind
        else ""
    )
    digits = 1 if curve.unit else 3
    points = [
        (round(x, 4), round(y, 4), curve.point.format(value=f"{value:.{digits}f}{curve.unit}", x=epoch))
        for (epoch, value), (x, y) in zip(curve.line, line, strict=True)
    ]
    x, y = line[-1]
    behind = "".join(f'<path class="raw" d="{_path([position(pair) for pair in pairs])}"/>' for pairs in curve.behind)
    html = (
        f'<figure class="curve" data-curve="{index}"><figcaption><b>{escape(curve.title)}</b>'
        f'<output>{escape(curve.shown or points[-1][2])}</output></figcaption><div class="area">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(curve.title)}">'
        f"{''.join(rules)}{behind}"
        f'<path class="line" d="{_path(line)}"/><path class="mark" d="{marks}"/>'
        f'<path class="cursor" d="M{100 * x:.2f} 0v100"/><path class="point" d="M{100 * x:.2f} {100 * y:.2f}{DOT}"/>'
        f'</svg>{"".join(labels)}</div><p class="axis">{escape(curve.axis)}</p></figure>'
    )
    return html, points


def _path(points: list[tuple[float, float]]) -> str:
    return "".join(f"{'L' if i else 'M'}{100 * x:.2f} {100 * y:.2f}" for i, (x, y) in enumerate(points))


def axis_ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers: from the first one from ``low`` on to the first one that reaches ``high``."""
    span = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(span / 3))
    step = next(power * m for m in (10, 5, 2, 1) if span / (power * m) >= 3)
    return [round(i * step, 9) for i in range(math.ceil(low / step - 1e-6), math.ceil(high / step - 0.02) + 1)]
