"""What a format could not hold is refused before it is written, and what was written is read again."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from atmnet.conversion.objects import DataPart
from atmnet.data.annotations import picture_size
from atmnet.data.sources import open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions


def check_classes(classes: Sequence[str], to: str) -> None:
    """Refuse names of classes that would be others when they are read: in XML and in a list of classes.

    Raises:
        UserError: Names the first.
    """
    wrong = [name for name in classes if not is_text(name) or name != name.strip()]
    if wrong:
        raise UserError(
            f"to: {to} cannot hold class {wrong[0]!r}; expected a name without control characters and outer spaces: "
            "rename it"
        )


def check_images(part: DataPart, to: str, by_stem: bool, strict_names: bool, refused_folders: Sequence[str]) -> None:
    """Refuse pictures that are missing, have another size than their annotations, or would share a file.

    Args:
        part: The split.
        to: The format.
        by_stem: Whether names must differ without their endings, too.
        strict_names: Whether names must consist of characters that every text can have.
        refused_folders: Names of folders in which pictures cannot be.

    Raises:
        UserError: Names the first picture.
    """
    for image in part.images:
        if not image.path.is_file():
            raise UserError(f"{image.path}: no such image; `atmnet check-data` lists all that are missing")
        size = picture_size(image.path)
        if size is None:
            raise UserError(f"{image.path}: not readable as an image; `atmnet check-data` lists all such images")
        if size != (image.width, image.height):
            raise UserError(
                f"{image.path}: has {size[0]}x{size[1]} pixels, but is annotated as {image.width}x{image.height}; "
                "`atmnet check-data` lists all such images"
            )
        folders = image.name.split("/")[:-1]
        if strict_names and not is_text(image.name):
            raise UserError(f"to: {to} cannot hold the name {image.name[:80]!r} of an image; rename it")
        if inside := [name for name in refused_folders if name in folders]:
            raise UserError(
                f"to: {to} has the folder {inside[0]!r} for itself, and split {part.split} has {image.name[:80]!r}; "
                "rename that folder"
            )
    names = Counter(image.name for image in part.images)
    stems = Counter(image.stem for image in part.images) if by_stem else Counter()
    if repeated := [name for counts in (names, stems) for name, count in counts.items() if count > 1]:
        raise UserError(
            f"to: {to}: {len(repeated)} images of split {part.split} would share a file, the first {repeated[0]}; "
            "rename one of them"
        )


def read_back(parts: Sequence[DataPart], to: str, root: Path) -> None:
    """Read the splits that were written, and compare their classes and images.

    Raises:
        UserError: Names the first image that is missing, such as one whose name a reader passes over.
    """
    for part in parts:
        split = open_split(DataOptions(to, str(root), crowd="regions"), part.split, "detection", part.classes)
        # Readers name a picture from the folder that the format starts at.
        read = {split.name(index).removeprefix("images/") for index in range(len(split))}
        missing = [image.name for image in part.images if image.name.removeprefix("images/") not in read]
        if missing or len(split) != len(part.images) or split.classes != part.classes:
            what = f"image {missing[0][:80]!r}" if missing else "a name of an image or class"
            raise UserError(f"to: {to}: {what} of split {part.split} cannot be read from this format; rename it")


def is_text(name: str) -> bool:
    """Whether a name has no control characters, line breaks, or bytes and code points that XML does not have."""
    return not any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in "\ufffe\uffff" for character in name
    )
