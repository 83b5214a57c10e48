"""Scatter plots of a comparison: what a score costs."""

from collections.abc import Sequence
from html import escape
from typing import Any

from atmnet.report.curve import axis_ticks
from atmnet.report.drawing import DOT
from atmnet_cli.printing import printable


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
    macs = {model["label"]: model["macs"] / 1e9 for model in models if model["macs"]}
    figures = [
        _scatter(f"{results['score'].capitalize()} over {name}", axis, values, models)
        for name, axis, values in (
            ("latency", "ms for one image", latencies),
            ("multiply-accumulates", "G multiply-accumulates for one image", macs),
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
    names = "".join(
        f'<span class="at{" left" if x(each) > 60 else ""}" style="left:{x(each):.2f}%;top:{y(each["mean"]):.2f}%">'
        f"{escape(printable(each['label']))}</span>"
        for each in shown
    )
    return (
        f'<figure class="scatter"><figcaption><b>{escape(title)}</b></figcaption><div class="area">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">{rules}'
        f'<path class="raw" d="{line}"/><path class="bars" d="{bars}"/><path class="mark" d="{marks}"/></svg>'
        f'{labels}{names}</div><p class="axis">{escape(axis)}</p></figure>'
    )


def _is_on_front(model: dict[str, Any], models: Sequence[dict[str, Any]], costs: dict[str, float]) -> bool:
    """Whether no other model has at least this score at no more cost, and more of one of them."""
    own = costs[model["label"]], -model["mean"]
    return not any(
        other != own and other[0] <= own[0] and other[1] <= own[1]
        for other in ((costs[each["label"]], -each["mean"]) for each in models)
    )
