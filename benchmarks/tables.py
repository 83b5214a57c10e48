"""Write the results into the pages of docs, and draw their plots: ``python -m benchmarks.tables``.

The table of results/NAME.json goes between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``. NAME is that of a
script, with ``-cuda`` appended for its results on a GPU, or study/PART. Without results, the text there is unchanged.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    dense_size,
    ecosystem,
    eight_bits,
    evidence,
    first_call,
    fold,
    growth,
    kernels,
    launches,
    layer,
    model,
    operator,
    runtimes,
    scenes,
    small_data,
    step,
    waiting,
)
from benchmarks.script import RESULTS

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [
    DOCS / f"{name}.md"
    for name in ("gpu", "performance", "folding", "dense", "deploy", "ecosystem", "training", "evidence")
]
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "kernels": kernels.table,
    "launches": launches.table,
    "operator": operator.table,
    "layer": layer.table,
    "model": model.table,
    "step": step.table,
    "growth": growth.table,
    "first_call": first_call.table,
    "fold": fold.table,
    "dense_size": dense_size.table,
    "scenes": scenes.table,
    "eight_bits": eight_bits.table,
    "runtimes": runtimes.table,
    "ecosystem": ecosystem.table,
    "small_data": small_data.table,
    "waiting": waiting.table,
    "study": evidence.table,
}
_BLOCK = re.compile(r"(<!-- begin: (?P<name>[\w/-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)


def updated(text: str, results: Path = RESULTS) -> str:
    """Replace every table in ``text`` that there are results for."""

    def block(match: re.Match[str]) -> str:
        record = results / f"{match['name']}.json"
        if not record.exists():
            return match[0]
        table = TABLES[re.split("[-/]", match["name"])[0]]
        return f"{match[1]}\n{table(json.loads(record.read_text(encoding='utf-8')))}\n\n{match[3]}"

    return _BLOCK.sub(block, text)


def main() -> None:
    """Update the pages and plots."""
    from benchmarks import plots  # tables need no matplotlib

    for page in PAGES:
        page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
    plots.draw(RESULTS, DOCS / "images")


if __name__ == "__main__":
    main()
