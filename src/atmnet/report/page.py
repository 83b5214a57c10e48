"""The report as one HTML file that needs nothing else: styles, script, pictures and data are inside."""

import json
import os
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from atmnet import __version__
from atmnet.report.confusion import confusion_section
from atmnet.report.content import Report
from atmnet.report.curve import curve_section
from atmnet.report.looks import looks_section
from atmnet.report.mistakes import mistakes_section


def write_report(report: Report, path: Path) -> None:
    """Write ``report`` to ``path``, an .html file; folders are made, and an older file is replaced in one step.

    Raises:
        ValueError: If ``preprocess`` does not give (C, h, w) with the channels of ``mean``.
    """
    html = _page(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(html, encoding="utf-8", newline="\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _page(report: Report) -> str:
    looks, looks_data = looks_section(report)
    curves, curves_data = curve_section(report.metrics)
    total = int(report.confusion.sum())
    wrong = total - int(report.confusion.diagonal().sum())
    data = json.dumps({"looks": looks_data, "curves": curves_data}, separators=(",", ":"))
    source = files("atmnet.report")
    return Template(source.joinpath("report.html").read_text("utf-8")).substitute(
        title=escape(report.title),
        facts=_facts(report.facts),
        sections=(
            looks
            + curves
            + confusion_section(report.confusion, report.classes)
            + mistakes_section(report.mistakes, report.classes, wrong, total)
        ),
        version=escape(__version__),
        style=source.joinpath("report.css").read_text("utf-8"),
        script=source.joinpath("report.js").read_text("utf-8"),
        data=data.replace("<", "\\u003c"),  # so that no text can end the script element
    )


def _facts(facts: dict[str, str]) -> str:
    """Short facts side by side; a command, or what is as long as one, on a line of its own."""
    rows = []
    for label, value in facts.items():
        kind = ' class="command"' if label.lower() == "command" else ' class="long"' if len(value) > 26 else ""
        rows.append(f"<div{kind}><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>")
    return f'<dl class="facts">{"".join(rows)}</dl>' if rows else ""
