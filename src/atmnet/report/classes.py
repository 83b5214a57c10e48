"""The section with a table of the classes, which the reader can sort by each column. K classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, isnan


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        title: Heading.
        values: A number for each class; NaN if there is none.
        is_percent: Whether the numbers are percentages, which get a bar; else they are counts.
    """

    title: str
    values: Sequence[float]
    is_percent: bool = True


def classes_section(lead: str, classes: list[str], columns: Sequence[Column]) -> str:
    """HTML of the section, with the classes in the order of the first column of percentages, the lowest first.

    Args:
        lead: Text above the table, as HTML.
        classes: Names of the K classes.
        columns: The columns after the names.
    """
    first = next(number for number, column in enumerate(columns) if column.is_percent)
    values = columns[first].values
    order = sorted(range(len(classes)), key=lambda k: (isnan(values[k]), values[k], k))
    heads = '<th scope="col"><button type="button">class</button></th>' + "".join(
        f'<th scope="col"{" aria-sort=ascending" if number == first else ""}>'
        f'<button type="button">{escape(column.title)}</button></th>'
        for number, column in enumerate(columns)
    )
    rows = "".join(
        f'<tr><th scope="row" data-value="{k}">{escape(classes[k])}</th>'
        f"{''.join(_cell(column, column.values[k]) for column in columns)}</tr>"
        for k in order
    )
    return (
        f'<section id="classes"><h2>Classes</h2><p class="lead">{lead}</p><div class="scroll" tabindex="0">'
        f'<table class="classes"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _cell(column: Column, value: float) -> str:
    if not isfinite(value):
        return '<td data-value="">–</td>'
    if not column.is_percent:
        return f'<td data-value="{value:g}">{value:,.0f}</td>'
    return (
        f'<td data-value="{value:.4f}"><span class="level" style="--v:{value:.1f}%"><i></i>'
        f"{value:.1f}\u202f%</span></td>"
    )
