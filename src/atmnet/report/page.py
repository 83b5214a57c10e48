"""Writes the report as one self-contained HTML file with styles, script, images and data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from atmnet import __version__
from atmnet.files import replacing, to_json
from atmnet.report.confusion import confusion_section, count_pairs
from atmnet.report.content import Report
from atmnet.report.curve import Point, Score, curve_section
from atmnet.report.drawing import DRAWING
from atmnet.report.looks import looks_section
from atmnet.report.mistakes import mistakes_section
from atmnet.report.reliability import reliability_section

_LONG = 26
"""Facts of more characters get a line of their own."""

_LIMITS = {"wide": 6, "medium": 4, "narrow": 2}
"""Maximum number of columns of facts, by the width of the window; see report.css."""

_TOP1 = Score("top1", "Top\u20111 accuracy", "Evaluation accuracy")


@dataclass(frozen=True)
class Section:
    """A part of the page, empty if there is nothing to show.

    Attributes:
        html: Its HTML.
        looks: Data of its viewer; viewers are numbered over all sections.
        curves: For each of its panels the points that the pointer shows. Panels are numbered over all sections.
    """

    html: str
    looks: dict[str, Any] = field(default_factory=dict)
    curves: list[list[Point]] = field(default_factory=list)


def write_report(report: Report, path: Path) -> None:
    """Write the report of a classifier to ``path``, an .html file; see :func:`write_page`.

    Args:
        report: What the page shows.
        path: The file.

    Raises:
        ValueError: If the number of channels that ``preprocess`` returns does not fit ``mean``.

    Examples:
        >>> report = Report("Cats and dogs", model, preprocess, mean, std, classes, metrics, ...)  # doctest: +SKIP
        >>> write_report(report, Path("page.html"))  # doctest: +SKIP
    """
    counts = count_pairs(report.confusion)
    total = sum(counts.values())
    wrong = sum(count for (true, predicted), count in counts.items() if true != predicted)
    looks, looks_data = looks_section(report.looker)
    curves, points = curve_section(report.metrics, _TOP1)
    reliability, reliability_points = reliability_section(report.calibration, len(points))
    sections = [
        Section(looks, looks=looks_data),
        Section(curves, curves=points),
        Section(confusion_section(counts, report.classes)),
        Section(reliability, curves=reliability_points),
        Section(mistakes_section(report.mistakes, report.classes, wrong, total)),
    ]
    write_page(report.title, report.facts, sections, path)


def write_page(title: str, facts: dict[str, str], sections: Sequence[Section], path: Path) -> None:
    """Write a page to ``path``, an .html file. Creates folders and replaces an older file atomically.

    Args:
        title: Heading of the page.
        facts: Label -> value, shown below the title.
        sections: What follows, in order.
        path: The file.
    """
    html = page_html(title, facts, sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8", errors="backslashreplace", newline="\n")


def page_html(
    title: str, facts: dict[str, str], sections: Sequence[Section], *, scripts: Sequence[str] = (), kind: str = ""
) -> str:
    """The page that :func:`write_page` writes.

    Args:
        title, facts, sections: As there.
        scripts: Names of scripts of this package that the page needs besides viewer.js and report.js.
        kind: A class of the page's styles.
    """
    looks = [section.looks for section in sections if section.looks]
    curves = [points for section in sections for points in section.curves]
    data = to_json({"drawing": DRAWING, "looks": looks, "curves": curves}, separators=(",", ":"))
    templates = files("atmnet.report")
    names = ["viewer.js", *scripts, "report.js"]
    return Template(templates.joinpath("report.html").read_text("utf-8")).substitute(
        title=escape(title),
        kind=kind,
        facts=_facts(facts),
        sections="".join(section.html for section in sections),
        version=escape(__version__),
        style=templates.joinpath("report.css").read_text("utf-8"),
        script="".join(templates.joinpath(name).read_text("utf-8") for name in names),
        data=data.replace("<", "\\u003c"),  # no text in the data can end the script element
    )


def _facts(facts: dict[str, str]) -> str:
    """The facts as a list: short ones side by side, the command and other long ones each on a line."""
    kinds = {
        label: "command" if label.lower() == "command" else "long" if len(value) > _LONG else "short"
        for label, value in facts.items()
    }
    short = list(kinds.values()).count("short")
    columns = ";".join(f"--{name}:{_columns(short, limit)}" for name, limit in _LIMITS.items())
    rows = "".join(
        f'<div class="{kinds[label]}"><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>'
        for label, value in facts.items()
    )
    odd = " odd" if short % 2 else ""
    return f'<dl class="facts{odd}" style="{columns}">{rows}</dl>' if rows else ""


def _columns(count: int, limit: int) -> int:
    """The largest number of columns up to ``limit`` that does not leave one of ``count`` facts alone in a row."""
    rows = -(-count // limit)
    candidates = range(-(-count // max(rows, 1)), 1, -1)
    return next((columns for columns in candidates if count % columns != 1), min(max(count, 1), 2))
