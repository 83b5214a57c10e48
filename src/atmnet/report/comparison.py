"""The page of a comparison: scores with intervals, cost, curves, classes, and the images on which models disagree."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from atmnet.comparison.plan import ComparedModel, Comparison, Job
from atmnet.data import Split, to_8_bits
from atmnet.report.classes import Column, classes_section
from atmnet.report.curve import Curve, Point, panel
from atmnet.report.page import Section, write_page
from atmnet.report.pictures import data_uri
from atmnet.report.trade_off import trade_off_section
from atmnet.tasks import find_head
from atmnet.tasks.configuration import CLASSIFIERS
from atmnet_cli.invocation import command_line
from atmnet_cli.printing import printable

_SHOWN = 12
"""Number of images on which models disagree that are shown."""

_SIDE = 176  # pixels of a thumbnail
_PERCENT = "\u202f%"


def write_comparison(results: dict[str, Any], comparison: Comparison, split: Split, mode: str, path: Path) -> None:
    """Write the page of a comparison to ``path``, an .html file.

    Args:
        results: The content of compare.json.
        comparison: The comparison, whose jobs are all done.
        split: The validation split, for pictures.
        mode: 'RGB' or 'L', in which pictures are read.
        path: The file.
    """
    options = comparison.options
    source = Path(options.data.root).name if options.data.root else options.data.source
    trained = [model for model in results["models"] if model["scores"]]
    seeds = results["seeds"]
    facts = {
        "Models": str(len(results["models"])),
        "Seeds": str(len(seeds)),
        "Equal for all": results["budget"],
        "Score": results["score"],
        "Batch": str(options.batch_size),
        "Learning rates": str(len(comparison.lrs)),
        "Command": printable(command_line()),
    }
    curves, points = _curves(trained)
    sections = [
        Section(_table(results)),
        Section(trade_off_section(results, trained)),
        Section(curves, curves=points),
        Section(_classes(results, trained)),
        Section(_disagreement(comparison, trained, split, mode)),
        Section(_reach(trained)),
    ]
    write_page(printable(f"Comparison of {len(results['models'])} models on {source}"), facts, sections, path)


def _table(results: dict[str, Any]) -> str:
    """The conclusion, and a row for each model."""
    heads = [
        "model", results["score"], "difference", "learning rate", "parameters", "MACs", "activations",
        "training", "1 image", "8 images",
    ]  # fmt: skip
    rows = []
    for model in results["models"]:
        times, difference = results["times"][model["label"]], model.get("difference")
        cells = [
            _interval(model["mean"], model["half_width"]) if model["scores"] else "failed",
            "–" if difference is None else _interval(difference["mean"], difference["half_width"], "+", ""),
            "–" if model["lr"] is None else f"{model['lr']:g}",
            _short(model["parameters"]), _short(model["macs"]), _short(model["activations"]),
            f"{results['batch_size'] / times['train_seconds']:.0f} images/s" if times else "–",
            f"{1e3 * times['latency_1']:.1f} ms" if times else "–",
            f"{1e3 * times['latency_8']:.1f} ms" if times else "–",
        ]  # fmt: skip
        rows.append(f'<tr><th scope="row">{_name(model)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    level = f"{100 * results['level']:.0f}{_PERCENT}"
    note = (
        f"± is half the width of the {level} confidence interval over seeds (Student's t). A difference is that to the "
        "first model, over pairs of runs of the same seed, which have the same order of samples. The conclusion holds "
        f"all its intervals at once at {level} (Bonferroni). Scores are those of the last evaluation. Times are "
        "medians of measurements in turns on the machine that ran the comparison."
    )
    warnings = "".join(f"<li>{escape(printable(text))}</li>" for text in results["warnings"])
    warnings = f'<ul class="warnings">{warnings}</ul>' if warnings else ""
    return (
        f'<section id="result"><h2>Result</h2><p class="lead">{escape(printable(results["conclusion"]))}</p>'
        f'<div class="scroll" tabindex="0"><table class="classes compared"><thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div>{warnings}<p class="note">{escape(note)}</p></section>'
    )


def _curves(models: Sequence[dict[str, Any]]) -> tuple[str, list[list[Point]]]:
    """The score over epochs for each model: the mean over seeds, and the runs behind it, on the same axes."""
    runs = {model["label"]: [[(x, y) for x, y in run] for run in model["curves"] if run] for model in models}
    values = [score for lines in runs.values() for line in lines for _, score in line]
    if not values or max(len(line) for lines in runs.values() for line in lines) < 2:
        return "", []
    padding = 0.06 * max(max(values) - min(values), 2.0)
    low, high = max(min(values) - padding, 0.0), min(max(values) + padding, 100.0)
    end = max(line[-1][0] for lines in runs.values() for line in lines if line)
    panels = [
        panel(number, Curve(printable(label), _PERCENT, lines, _mean_line(lines), low, high), end)
        for number, (label, lines) in enumerate((label, lines) for label, lines in runs.items() if lines)
    ]
    return (
        '<section id="curves"><h2>Learning curves</h2><p class="lead">The mean over seeds, with each run behind it. '
        f'All have the same axes.</p><div class="curves small">{"".join(html for html, _ in panels)}</div></section>',
        [points for _, points in panels],
    )


def _mean_line(lines: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """The mean of several runs, as far as all of them go; runs of one comparison are evaluated at the same epochs."""
    return [(parts[0][0], sum(y for _, y in parts) / len(parts)) for parts in zip(*lines, strict=False)]


def _classes(results: dict[str, Any], models: Sequence[dict[str, Any]]) -> str:
    if not models:
        return ""
    names = list(models[0]["classes"])
    columns = [
        Column(
            printable(model["label"]),
            [math.nan if (value := model["classes"].get(name)) is None else value for name in names],
        )
        for model in models
    ]
    score = {"classification": "recall", "multilabel": "AP", "detection": "AP", "segmentation": "IoU"}[results["kind"]]
    lead = f"The mean {score} of each class over seeds, in percent. Choose a heading to sort."
    return classes_section(lead, [printable(name) for name in names], columns)


def _disagreement(comparison: Comparison, models: Sequence[dict[str, Any]], split: Split, mode: str) -> str:
    """The images whose scores differ most between models."""
    trained = {model["label"] for model in models}
    scores = {model.label: _image_scores(comparison, model) for model in comparison.models if model.label in trained}
    if len(scores) < 2:
        return ""
    spreads = {
        index: max(values) - min(values)
        for index in range(len(split))
        if len(values := [each[index] for each in scores.values() if index in each]) == len(scores)
    }
    order = sorted(
        (index for index, spread in spreads.items() if spread > 0), key=lambda index: (-spreads[index], index)
    )
    if not order:
        return ""
    figures = []
    for index in order[:_SHOWN]:
        image = to_8_bits(split.load(index, mode)[0])
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        name = escape(printable(split.name(index)))
        lines = "".join(
            f'<p class="agreed" style="--v:{100 * values[index]:.0f}%"><span>{escape(printable(label))}</span>'
            f"<i></i><b>{100 * values[index]:.0f}{_PERCENT}</b></p>"
            for label, values in scores.items()
        )
        figures.append(
            f'<figure><div><img src="{data_uri(image)}" alt="{name}"></div><figcaption>{lines}'
            f'<p class="file">{name}</p></figcaption></figure>'
        )
    is_classifier = find_head(comparison.options.model.head).kind in CLASSIFIERS
    what = "share of seeds that answer correctly" if is_classifier else "mean score of the image over seeds"
    lead = f"The images whose answers differ most between models, with the {what}."
    return (
        f'<section id="disagreement"><h2>Where they disagree</h2><p class="lead">{escape(lead)}</p>'
        f'<div class="mistakes wide">{"".join(figures)}</div></section>'
    )


def _image_scores(comparison: Comparison, model: ComparedModel) -> dict[int, float]:
    """The mean score, 0 to 1, of each image over the seeds of a model."""
    options = comparison.options
    totals: dict[int, list[float]] = {}
    for seed in range(options.seed, options.seed + options.seeds):
        result = comparison.result(Job(model, seed)) or {}
        for index, row in enumerate(result.get("images", [])):
            score = _image_score(row)
            if score is not None:
                totals.setdefault(index, []).append(score)
    return {index: sum(values) / len(values) for index, values in totals.items()}


def _image_score(row: dict[str, Any]) -> float | None:
    """1 for a correct answer, the share of objects matched among those labelled or invented, or the mIoU."""
    if "correct" in row:
        return float(row["correct"])
    if "matched" in row:
        count = row["matched"] + row["missed"] + row["invented"]
        return row["matched"] / count if count else 1.0
    return None if row["miou"] is None else row["miou"] / 100


def _reach(models: Sequence[dict[str, Any]]) -> str:
    """How far the tokens of each ATMNet look, by stage."""
    looking = [model for model in models if model["reach"]]
    if not looking:
        return ""
    stages = max(len(model["reach"]) for model in looking)
    head = "".join(f'<th scope="col">stage {number + 1}</th>' for number in range(stages))
    rows = "".join(
        f'<tr><th scope="row">{escape(printable(model["label"]))}</th>'
        + "".join(f"<td>{row['tokens']:.1f} ({100 * row['share']:.0f}{_PERCENT})</td>" for row in model["reach"])
        + "</tr>"
        for model in looking
    )
    return (
        '<section id="reach"><h2>How far tokens look</h2><p class="lead">The mean distance between a token and the '
        "places that it mixes in, along rows and columns, in tokens of the stage and as a share of the map's side. The "
        'other models have no such places.</p><div class="scroll" tabindex="0"><table class="classes">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _name(model: dict[str, Any]) -> str:
    label, name = printable(model["label"]), printable(model["name"])
    return escape(label) if label == name else f"{escape(label)} <small>{escape(name)}</small>"


def _interval(mean: float, half_width: float | None, sign: str = "", unit: str = _PERCENT) -> str:
    text = f"{mean:{sign}.1f}" + ("" if half_width is None else f" ± {half_width:.1f}")
    return f"{text}{unit}"


def _short(count: int | None) -> str:
    """A count with three digits: 4.28 M."""
    if count is None:
        return "–"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}\u202f{name}"
    return str(count)
