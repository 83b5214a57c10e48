"""The plots of docs/performance.md and docs/evidence.md, as SVG files whose bytes depend only on the results."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.sides import PUBLISHED

#: Colours that most colour-blind people tell apart (Okabe and Ito).
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
#: Parts of the study in the plot of reach, and what they are called.
REACH = {"digits": "digits", "pathfinder_32": "pathfinder", "pathfinder_64": "pathfinder, 64 pixels"}
#: Batch size in the plot of models.
BATCH = 8
_STYLE: Any = {
    "svg.hashsalt": "atmnet",
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.facecolor": "white",  # pages are dark in some browsers
}


def draw(results: Path, images: Path) -> list[Path]:
    """Draw the plots that there are results for. Returns the files."""
    plots: dict[str, Callable[[dict[str, Any]], Figure]] = {"growth": growth, "model": model, "layer": layer}
    paths = []
    for name, plot in plots.items():
        if (results / f"{name}.json").exists():
            record = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
            path = images / f"performance_{name}.svg"
            paths.append(_save(plot, record, path))
    study = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (results / "study").glob("*.json")}
    if REACH.keys() & study:
        paths.append(_save(reach, study, images / "evidence_reach.svg"))
    return paths


def _save(plot: Callable[[dict[str, Any]], Figure], record: dict[str, Any], path: Path) -> Path:
    with matplotlib.rc_context(_STYLE):
        plot(record).savefig(path, metadata={"Date": None})
    return path


def growth(record: dict[str, Any]) -> Figure:
    """Time and peak memory per token over the image's side; time relative to the smallest size."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for k, result in enumerate(record["results"]):
        line: dict[str, Any] = {"marker": "o", "markersize": 3, "color": COLOURS[k], "zorder": 9 - k}  # ours on top
        sides = [row["side"] for row in result["sides"]]
        relative = [row["time_per_token_over_first"]["median"] for row in result["sides"]]
        kilobytes = [row["peak_bytes_per_token"] / 1e3 for row in result["sides"]]
        time.plot(sides, relative, label=result["model"], **line)
        memory.plot(sides, kilobytes, **line)
    time.set_ylabel(f"time per token / time per token at {sides[0]}")
    memory.set_ylabel("peak memory per token (kB)")
    for axes in (time, memory):
        axes.set_xlabel("side of the image (pixels)")
        axes.set_xticks(sides)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def model(record: dict[str, Any]) -> Figure:
    """Time of each model over ours, for each mode."""
    models = {result["mode"]: result["models"] for result in record["results"] if result["batch"] == BATCH}
    names = max((list(rows) for rows in models.values()), key=len)
    bars = {mode: [rows[name]["ratio"] if name in rows else None for name in names] for mode, rows in models.items()}
    figure = Figure(figsize=(8, 0.9 + 0.5 * len(names)), layout="constrained")
    axes = figure.subplots()
    _bars(axes, bars, names)
    axes.set_xlabel(f"time / time of {names[0]}, batch {BATCH} (longer bars: slower models)")
    return figure


def layer(record: dict[str, Any]) -> Figure:
    """How many times faster than the published formulation the layer is, for each shape."""
    shapes, forward, training = [], [], []
    for result in record["results"]:
        name = next(name for name in result["runs"] if name != PUBLISHED)
        run = result["runs"][name]
        shapes.append("x".join(map(str, result["tokens"])))
        forward.append(run["forward"]["published_over_this"])
        training.append(run["training"]["published_over_this"])
    figure = Figure(figsize=(8, 0.9 + 0.5 * len(shapes)), layout="constrained")
    axes = figure.subplots()
    _bars(axes, {"forward": forward, "forward and backward": training}, shapes)
    axes.set_xlabel("time of the published formulation / time of ours (longer bars: ours is faster)")
    axes.set_ylabel("tokens (B x H x W x C)")
    return figure


def _bars(axes: Axes, bars: dict[str, list[dict[str, float] | None]], names: list[str]) -> None:
    """Groups of horizontal bars, the first name on top; a line at 1, and whiskers over the quartiles."""
    height = 0.8 / len(bars)
    for k, (label, spreads) in enumerate(bars.items()):
        places = [i + (k - (len(bars) - 1) / 2) * height for i, spread in enumerate(spreads) if spread]
        present = [spread for spread in spreads if spread]
        medians = [spread["median"] for spread in present]
        whiskers = [
            [spread["median"] - spread["lower_quartile"] for spread in present],
            [spread["upper_quartile"] - spread["median"] for spread in present],
        ]
        axes.barh(places, medians, height * 0.9, xerr=whiskers, color=COLOURS[k], label=label, error_kw={"lw": 0.8})
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.figure.legend(loc="outside lower center", ncols=len(bars))


def reach(records: dict[str, dict[str, Any]]) -> Figure:
    """How far tokens look, by stage, as a share of the map's side, for each task of the study.

    Args:
        records: The records of the parts.
    """
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    shown = [(title, records[name]["models"][0]["reach"]) for name, title in REACH.items() if name in records]
    for number, (title, rows) in enumerate(shown):
        stages = [row["stage"] + 1 + 0.2 * (number - (len(shown) - 1) / 2) for row in rows]
        axes.bar(stages, [100 * row["share"] for row in rows], 0.18, label=title, color=COLOURS[number])
    axes.set_xticks(range(1, 5))
    axes.set_xlabel("stage")
    axes.set_ylabel("mean distance, % of the map's side")
    axes.legend()
    return figure
