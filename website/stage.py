"""Gather the pages of the site in one folder, ``python -m website.stage``: those of docs/, and those that are made.

Zensical runs no program while it builds, so what is made from the source is made before.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from website import measured, options, reference, tutorials

ROOT = Path(__file__).parents[1]
#: Where the pages are gathered, ``docs_dir`` of mkdocs.yml.
PAGES = ROOT / "build" / "pages"
#: Pages that stand beside docs/, where GitHub looks for them.
_BESIDE = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
_RESULTS = "benchmarks/results"
#: Where a table ends that benchmarks/tables.py has made from a record.
_TABLE = re.compile(r"<!-- end: ([\w/-]+) -->")


def main() -> None:
    """Gather the pages anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "images", PAGES / "images")
    shutil.copytree(ROOT / _RESULTS, PAGES / "results")
    shutil.copy(ROOT / "website" / "site.css", PAGES)
    for path, text in texts():
        target = PAGES / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def texts() -> Iterator[tuple[str, str]]:
    """Paths in the site and Markdown of all pages."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT / "docs").as_posix()
        yield name, _links_from_docs(path.read_text(encoding="utf-8"))
    for name in _BESIDE:
        yield name, (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for made in (reference.pages(), options.pages(), tutorials.pages(), measured.pages()):
        yield from made.items()


def _links_from_docs(text: str) -> str:
    """The text of a page in docs/ with links that are right in the site, in which docs/ is the root."""
    text = re.sub(r"\]\(\.\./([A-Z_]+\.md)", r"](\1", text)
    return _TABLE.sub(_with_record, text)


def _with_record(end: re.Match[str]) -> str:
    """The end of a table after a link to its record, if that has been made."""
    name = f"{end[1]}.json"
    return f"[The record of these numbers](results/{name})\n\n{end[0]}" if (ROOT / _RESULTS / name).exists() else end[0]


if __name__ == "__main__":
    main()
