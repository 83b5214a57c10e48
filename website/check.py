"""Check the site that was built, ``python -m website.check FOLDER``: complete, and nothing loads from other servers."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from website.public import identifier, load, public_modules, public_names

#: The attribute of each tag by which a page loads a file.
_LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
#: Links that name another page and load nothing.
_NO_LOAD = {"canonical", "next", "prev", "alternate"}


class _Page(HTMLParser):
    """The files that a page loads, the pages that it links to, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag in _LOADS and values.get("rel") not in _NO_LOAD:
            self.loads.add(values.get(_LOADS[tag], ""))
        if tag == "a":
            self.links.add(values.get("href", ""))


def problems(site: Path) -> list[str]:
    """What is wrong with a site, a line each.

    Args:
        site: The folder that the site was built into.
    """
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    lines = []
    for path, page in pages.items():
        name = path.relative_to(site)
        lines += [f"{name}: loads {url} from another server" for url in page.loads if urlsplit(url).netloc]
        if name.name == "404.html":  # its links start at the root of a server
            continue
        for link in sorted(page.links | page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or parts.path.startswith("/"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                lines.append(f"{name}: links to {link}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                lines.append(f"{name}: links to {link}, which has no such anchor")
    anchors = set().union(*(page.anchors for page in pages.values()))
    modules = load()
    for module in public_modules(modules):
        for each in public_names(module):
            if identifier(module, each) not in anchors:
                lines.append(f"{identifier(module, each)}: is public, but not in the reference")
    return lines


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))
    return page


def main() -> int:
    """Print what is wrong, and return the exit status."""
    lines = problems(Path(sys.argv[1]).resolve())
    print("\n".join(lines) or "The site is complete, its links lead somewhere, and it needs no other server.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
