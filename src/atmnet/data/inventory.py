"""What the data of a split are: its classes, and the names, sizes and labels of its files, in order.

A run records this, and compares it when it resumes. It is read from directories and headers, not from pictures, so that
a change which leaves a file's name and size as they were is not seen.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Threads that ask for sizes of files: a network share answers many questions at a time.
_THREADS, _AT_A_TIME = 16, 1000


@dataclass
class Inventory:
    """The data of a split.

    Attributes:
        classes: Class names; a label is an index into them.
        names: Names of the files, relative to the split, in the order of the data set.
        sizes: Their sizes in bytes; -1 for a file that is missing.
        labels: Their labels, if each has one; else empty.
        facts: Anything else that the data depend on, such as the checksum of an annotation file, by name.
    """

    classes: list[str]
    names: list[str]
    sizes: list[int]
    labels: list[int] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def file_sizes(paths: Sequence[str | Path]) -> list[int]:
    """The size of each file in bytes; -1 for a file that is missing."""
    parts = [paths[i : i + _AT_A_TIME] for i in range(0, len(paths), _AT_A_TIME)]
    if len(parts) < 2:
        return [_size(path) for path in paths]
    with ThreadPoolExecutor(_THREADS) as pool:
        return [size for sizes in pool.map(lambda part: [_size(path) for path in part], parts) for size in sizes]


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while part := file.read(2**24):
            digest.update(part)
    return digest.hexdigest()


def class_changes(before: Sequence[str], after: Inventory, recorded: Inventory | None = None) -> list[str]:
    """How the classes have changed, in words; empty if they have not.

    Args:
        before: The classes as they were.
        after: The data as they are.
        recorded: The data as they were, by which a renamed class is recognised.
    """
    gone, new = ([name for name in a if name not in b] for a, b in ((before, after.classes), (after.classes, before)))
    changes = []
    if gone and new and recorded is not None and recorded.labels and after.labels:
        were, are = _files_by_class(recorded), _files_by_class(after)
        for old in list(gone):
            for name in new:
                if were[old] and were[old] == are[name]:
                    changes.append(f"class {old!r} was renamed {name!r}")
                    gone.remove(old)
                    new.remove(name)
                    break
    changes += [f"class {name!r} is missing" for name in gone] + [f"class {name!r} was added" for name in new]
    if not changes and list(before) != after.classes:
        first = next(i for i, (old, name) in enumerate(zip(before, after.classes, strict=True)) if old != name)
        changes.append(
            f"the classes are in another order: label {first} was {before[first]!r}, is {after.classes[first]!r}"
        )
    return changes


def file_changes(before: Inventory, after: Inventory, sizes: bool = True) -> Iterator[str]:
    """How files, labels and facts have changed, in words; nothing if they have not. ``sizes``: also those of files."""
    were, are = ({name: i for i, name in enumerate(data.names)} for data in (before, after))
    gone, new = [name for name in before.names if name not in are], [name for name in after.names if name not in were]
    yield from _told(gone, "is missing", "are missing")
    yield from _told(new, "was added", "were added")
    common = [(name, i, are[name]) for name, i in were.items() if name in are]
    if sizes:
        resized = [name for name, i, j in common if before.sizes[i] != after.sizes[j]]
        yield from _told(resized, "has another size", "have other sizes")
    if before.labels and after.labels:
        labels = [name for name, i, j in common if before.classes[before.labels[i]] != after.classes[after.labels[j]]]
        yield from _told(labels, "has another label", "have other labels")
    if not gone and not new and before.names != after.names:
        yield "the images are in another order"
    for name in sorted(before.facts.keys() | after.facts.keys()):
        if before.facts.get(name) != after.facts.get(name):
            yield f"its {name} changed"


def keeps_labels(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether each class that is still there has the label that it had, and as many labels are in use."""
    return len(before) == len(after) and all(
        old == new or (old not in after and new not in before) for old, new in zip(before, after, strict=True)
    )


def _told(names: list[str], one: str, many: str) -> Iterator[str]:
    if names:
        yield f"{len(names):,} {f'image {one}' if len(names) == 1 else f'images {many}'}, e.g. {names[0]}"


def _files_by_class(data: Inventory) -> dict[str, Counter[tuple[str, int]]]:
    """For each class, how often a file of a name and size is in it."""
    files: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for name, size, label in zip(data.names, data.sizes, data.labels, strict=True):
        files[data.classes[label]][os.path.basename(name), size] += 1
    return files


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
