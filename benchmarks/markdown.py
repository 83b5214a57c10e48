"""Markdown tables, and the format of numbers in them."""

from collections.abc import Sequence
from typing import Any


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def times(spread: dict[str, float]) -> str:
    """A ratio with its quartiles, e.g. ``6.31x (6.20 to 6.45)``."""
    return f"{spread['median']:.2f}x ({spread['lower_quartile']:.2f} to {spread['upper_quartile']:.2f})"


def megabytes(size: float) -> str:
    """``size`` in bytes, as a number of megabytes (10^6)."""
    return f"{size / 1e6:.1f}"


def caption(record: dict[str, Any]) -> str:
    """The machine, versions and number of rounds of a record."""
    return f"*{place(record)}. Medians of {record['rounds']} interleaved rounds, quartiles in brackets.*"


def place(record: dict[str, Any]) -> str:
    """The machine and the versions of the libraries."""
    machine = record["machine"]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    device = machine.get("gpu") or f"{machine['processor']}, {threads} of {machine['cores']} cores"
    libraries = ", ".join(f"{name} {machine[name]}" for name in ("torch", "timm", "numba", "triton") if name in machine)
    return f"{device}; {libraries}"
