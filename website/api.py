"""The public interface as a file, ``python -m website.api``: what a change may break is found by comparing with it.

The file is written with each release, so that it holds the interface of the latest one.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import griffe

from website.public import identifier, load, public_modules, public_names, resolve

ROOT = Path(__file__).parents[1]
#: The interface of the latest release.
SNAPSHOT = ROOT / "tests" / "api.json"
#: Lines of Python that declare an object, by its public name.
Interface = Mapping[str, Sequence[str]]


def current(source: str | Path = ROOT / "src") -> Interface:
    """The interface of the source.

    Args:
        source: The folder in which the packages lie.
    """
    modules = public_modules(load(str(source)))
    return {identifier(each, name): _declared(resolve(each, name)) for each in modules for name in public_names(each)}


def recorded(file: Path = SNAPSHOT) -> Interface:
    """The interface that a file records."""
    interface: Interface = json.loads(file.read_text(encoding="utf-8"))
    return interface


def breaking_changes(old: Interface, new: Interface) -> Iterator[tuple[str, str]]:
    """Public names that changed so that programs may break, each with a line that says how."""
    for name, before in old.items():
        if name not in new:
            yield name, f"{name}: was removed"
            continue
        for change in griffe.find_breaking_changes(_visited(before), _visited(new[name])):
            text = re.sub(r"\x1b\[\d+m", "", change.explain(griffe.ExplanationStyle("oneline")))
            yield name, f"{name}: {text}"


def _visited(lines: Sequence[str]) -> griffe.Module:
    return griffe.visit("api", filepath=Path("api.py"), code="\n".join(lines))


def _declared(thing: griffe.Object) -> list[str]:
    """Lines of Python that declare a public object and its public members, without their bodies."""
    if isinstance(thing, griffe.Function):
        return [f"def {thing.signature()}: ..."]
    if isinstance(thing, griffe.Class):
        members = [each for name, each in thing.members.items() if name in ("__init__", "__call__") or name[0] != "_"]
        lines = [line for each in members if isinstance(each, griffe.Object) for line in _declared(each)]
        return [f"class {thing.name}:", *(f"    {line}" for line in lines or ["..."])]
    return [f"{thing.name} = ..."]


def main() -> None:
    """Write the file."""
    SNAPSHOT.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
