"""Scatter plots of a comparison: what a score costs."""

from collections.abc import Sequence
from html import escape
from typing import Any

from atmnet.report.curve import axis_ticks
from atmnet.report.drawing import DOT
from atmnet_cli.printing import printable

#: In percent of the area: where marks have their label on the left, its distance from the mark, and room for a label.
_LEFT, _BESIDE, _WIDTH, _HEIGHT = 60, 3, 30, 7


def trade_off_section(results: dict[str, Any], models: Sequence[dict[str, Any]]) -> str:
    """Score against latency and against multiply-accumulates, with the Pareto front; empty for fewer than two models.

    Args:
        results: The content of compare.json.
        models: Those of its models that have scores.
    """
    latencies = {
        model["label"]: 1e3 * results["times"][model["label"]]["latency_1"]
        for model in models
        if results["times"][model["label"]]
    }
    macs = {model["label"]: model["macs"] for model in models if model["macs"]}
    unit, letter = (1e9, "G") if max(macs.values(), default=0) >= 1e8 else (1e6, "M")
    figures = [
        _scatter(f"{results['score'].capitalize()} over {name}", axis, values, models)
        for name, axis, values in (
            ("latency", "ms for one image", latencies),
            (
                "multiply-accumulates",
                f"{letter} multiply-accumulates for one image",
                {label: count / unit for label, count in macs.items()},
            ),
        )
        if len(values) > 1
    ]
    if not figures:
        return ""
    text = (
        "The line joins the models that no other model beats in both: the Pareto front. Bars are confidence intervals."
    )
    return (
        f'<section id="cost"><h2>Score and cost</h2><p class="lead">{text}</p>'
        f'<div class="curves">{"".join(figures)}</div></section>'
    )


def _scatter(title: str, axis: str, costs: dict[str, float], models: Sequence[dict[str, Any]]) -> str:
    shown = [model for model in models if model["label"] in costs]
    means = [model["mean"] for model in shown]
    # Few seeds may give intervals of any length, which would hide the differences between the means.
    reach = max(2.0, min(max(model["half_width"] or 0.0 for model in shown), 2 * (max(means) - min(means))))
    y_ticks = axis_ticks(max(0.0, min(means) - reach), min(100.0, max(means) + reach))
    x_ticks = axis_ticks(0.0, 1.25 * max(costs.values()))
    low, high = y_ticks[0], y_ticks[-1]

    def x(model: dict[str, Any]) -> float:
        return 100 * costs[model["label"]] / x_ticks[-1]

    def y(score: float) -> float:
        return 100 * (1 - (min(max(score, low), high) - low) / (high - low))

    rules = "".join(f'<path class="rule" d="M0 {y(tick):.2f}h100"/>' for tick in y_ticks)
    labels = "".join(f'<span class="y" style="top:{y(tick):.2f}%">{tick:g}</span>' for tick in y_ticks)
    labels += "".join(
        f'<span class="x" style="left:{100 * tick / x_ticks[-1]:.2f}%">{tick:g}</span>' for tick in x_ticks
    )
    front = [each for each in sorted(shown, key=x) if _is_on_front(each, shown, costs)]
    line = "".join(f"{'L' if i else 'M'}{x(each):.2f} {y(each['mean']):.2f}" for i, each in enumerate(front))
    bars = "".join(
        f"M{x(each):.2f} {y(each['mean'] - each['half_width']):.2f}V{y(each['mean'] + each['half_width']):.2f}"
        for each in shown
        if each["half_width"]
    )
    marks = "".join(f"M{x(each):.2f} {y(each['mean']):.2f}{DOT}" for each in shown)
    sides = {each["label"]: -1 if x(each) > _LEFT else 1 for each in shown}
    tops = _label_tops([(x(each), y(each["mean"]), sides[each["label"]]) for each in shown])
    places = [(each, x(each) + _BESIDE * sides[each["label"]], top) for each, top in zip(shown, tops, strict=True)]
    leaders = "".join(f"M{x(each):.2f} {y(each['mean']):.2f}L{left:.2f} {top:.2f}" for each, left, top in places)
    names = "".join(
        f'<span class="at{" left" if sides[each["label"]] < 0 else ""}" style="left:{left:.2f}%;top:{top:.2f}%">'
        f"{escape(printable(each['label']))}</span>"
        for each, left, top in places
    )
    return (
        f'<figure class="scatter"><figcaption><b>{escape(title)}</b></figcaption><div class="area">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">{rules}'
        f'<path class="leader" d="{leaders}"/><path class="raw" d="{line}"/>'
        f'<path class="bars" d="{bars}"/><path class="mark" d="{marks}"/></svg>'
        f'{labels}{names}</div><p class="axis">{escape(axis)}</p></figure>'
    )


def _label_tops(marks: Sequence[tuple[float, float, int]]) -> list[float]:
    """Where labels stand so that none covers another: as near as possible to their mark's height.

    Args:
        marks: x and y of each mark in percent of the area, and the side on which its label stands.
    """
    tops: list[float] = []
    for number, (x, y, side) in enumerate(marks):
        near = [tops[other] for other in range(number) if abs(marks[other][0] - x) < _WIDTH and marks[other][2] == side]
        heights = [y, *range(101)]
        free = [top for top in heights if all(abs(top - other) >= _HEIGHT for other in near)]
        tops.append(min(free or [y], key=lambda top: abs(top - y)))
    return tops


def _is_on_front(model: dict[str, Any], models: Sequence[dict[str, Any]], costs: dict[str, float]) -> bool:
    """Whether no other model has at least this score at no more cost, and more of one of them."""
    own = costs[model["label"]], -model["mean"]
    return not any(
        other != own and other[0] <= own[0] and other[1] <= own[1]
        for other in ((costs[each["label"]], -each["mean"]) for each in models)
    )
