"""Divide pictures that have no split of their own into training and validation.

The division is a function of names, classes, bytes and ``data.split_seed``. Pictures of one group stay together: frames
such as ``walk_0001.jpg`` and ``walk_0002.jpg``, and exact duplicates, would else be in training and validation alike.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from atmnet.data.coco_file import CocoFile, read_coco, read_file, undivided_coco
from atmnet.data.inventory import file_digest, file_sizes
from atmnet.records import Record
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

#: The file in a run's folder that lists the names of each part.
SPLIT_FILE = "split.json"
#: A class of fewer groups is divided by pictures, since its groups could not give the share.
_FEWEST_GROUPS = 5
#: What follows the group in a name: the last part after _ or -, if it ends in a digit.
_NUMBER = re.compile(r"[_-][^_-]*\d$")


class Picture(NamedTuple):
    """A picture to divide; ``name`` is relative to the data set."""

    name: str
    path: Path
    label: str


def own_part(options: DataOptions, split: str, pictures: Sequence[Picture]) -> set[str]:
    """Names of the pictures that are in a part.

    Args:
        options: ``split_file`` lists the names of the parts; without it, ``val_share`` of each class is for
            validation.
        split: The value of ``options.train`` or ``options.val``.
        pictures: All pictures.

    Raises:
        UserError: If a class has too few pictures, or the file lists none of the pictures.
    """
    if options.split_file:
        names = set(Record.read(Path(options.split_file)).texts("val" if split == options.val else "train"))
        if not names & {picture.name for picture in pictures}:
            raise UserError(f"data.split_file: {options.split_file}: it lists none of the images in {options.root}")
        return names
    if not 0 < options.val_share < 1:
        raise UserError(f"data.val_share: got {options.val_share}, expected a share between 0 and 1, such as 0.2")
    val = _choose_validation(options, pictures)
    return val if split == options.val else {picture.name for picture in pictures} - val


def read_coco_or_part(options: DataOptions, split: str, classes: list[str] | None = None) -> CocoFile:
    """Read a split in COCO's format as :func:`~atmnet.data.coco_file.read_coco` does, or a part of the only file."""
    undivided = undivided_coco(options) if options.root else None
    if undivided is None:
        return read_coco(options, split, classes)
    return own_part_of(read_file(*undivided), options, split)


def own_part_of(file: CocoFile, options: DataOptions, split: str) -> CocoFile:
    """The images and objects of a part; each image counts for the rarest of its classes."""
    counts = Counter(annotation["category_id"] for annotation in file.annotations)
    rarest: dict[int, int] = {}
    for annotation in file.annotations:
        image, category = annotation["image_id"], annotation["category_id"]
        rarest[image] = min(rarest.get(image, category), category, key=lambda number: (counts[number], number))
    names = {category["id"]: category["name"] for category in file.categories}
    pictures = [
        Picture(image["file_name"], file.folder / image["file_name"], names.get(rarest.get(image["id"], -1), ""))
        for image in file.images
    ]
    chosen = own_part(options, split, pictures)
    images = [image for image in file.images if image["file_name"] in chosen]
    ids = {image["id"] for image in images}
    annotations = [annotation for annotation in file.annotations if annotation["image_id"] in ids]
    return replace(file, images=images, annotations=annotations, own_part=True)


def _choose_validation(options: DataOptions, pictures: Sequence[Picture]) -> set[str]:
    by_label: dict[str, list[list[Picture]]] = defaultdict(list)
    for group in _groups(pictures):
        by_label[group[0].label].append(group)
    val: set[str] = set()
    for label, groups in by_label.items():
        if len(groups) < 2:
            if not label:  # images without objects
                continue
            raise UserError(
                f"data.val_share: class {label[:80]!r} has only one image that is not a copy, so that training or "
                "validation would have none; add images, or name the splits with data.train and data.val"
            )
        wanted = max(1, round(options.val_share * sum(map(len, groups))))
        order = sorted(groups, key=lambda group: _random_key(options.split_seed, group[0].name))
        count = 0
        for group in order[:-1]:  # one group at least is for training
            if count and count + len(group) > wanted:
                continue
            val.update(picture.name for picture in group)
            count += len(group)
            if count >= wanted:
                break
    return val


def _groups(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """The pictures in groups that stay together: by name, where a class has enough such groups, and by bytes."""
    stems = {picture.name: _NUMBER.sub("", picture.name.rpartition(".")[0]) for picture in pictures}
    counts: dict[str, set[str]] = defaultdict(set)
    for picture in pictures:
        counts[picture.label].add(stems[picture.name])
    group_of: dict[str, str] = {
        picture.name: stems[picture.name] if len(counts[picture.label]) >= _FEWEST_GROUPS else picture.name
        for picture in pictures
    }
    merged: dict[str, str] = {}

    def first(group: str) -> str:
        while group in merged:
            group = merged[group]
        return group

    for same in _duplicates(pictures):
        for picture in same[1:]:
            one, other = first(group_of[same[0].name]), first(group_of[picture.name])
            if one != other:
                merged[other] = one
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[first(group_of[picture.name])].append(picture)
    return list(groups.values())


def _duplicates(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Pictures of the same bytes; only files of the same size are read."""
    sizes = file_sizes([picture.path for picture in pictures])
    counts = Counter(sizes)
    same: dict[str, list[Picture]] = defaultdict(list)
    for picture, size in zip(pictures, sizes, strict=True):
        if size >= 0 and counts[size] > 1:
            same[file_digest(picture.path)].append(picture)
    return [group for group in same.values() if len(group) > 1]


def _random_key(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogateescape")).digest()
