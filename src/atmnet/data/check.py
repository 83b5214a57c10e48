"""Read every image of a data set and list what is wrong with it, or merely worth knowing."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atmnet.data.images import BROKEN, EXTENSIONS, UnreadableImage
from atmnet.data.source import open_source
from atmnet_cli.options import DataOptions

#: Share of the largest class below which a class counts as rare.
_RARE = 0.05


@dataclass
class SplitCheck:
    """What a split holds.

    Attributes:
        source: The split, of any task.
        sizes: (width, height) of every readable image, in pixels.
        labels: How often each label occurs: in classification and segmentation the images that show it, in detection
            the objects.
        pixels: Name of every readable image -> a hash of its size and pixels.
        errors: Kind of problem -> the images or classes that have it; such data cannot be used as it is.
        notes: Kind of peculiarity -> the images or classes that have it; handled, or a matter of taste.
    """

    source: Any
    sizes: list[tuple[int, int]] = field(default_factory=list)
    labels: Counter[int] = field(default_factory=Counter)
    pixels: dict[str, bytes] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def check_split(options: DataOptions, split: str, classes: list[str] | None = None) -> SplitCheck:
    """Read all images of a split; ``classes`` are those of the training split, for another one.

    Raises:
        UserError: Where the split is missing, empty, or of other classes.
    """
    source = open_source(options, split, classes)
    check = SplitCheck(source)
    for index in range(len(source)):
        _check_image(check, index)
    for label, name in enumerate(source.classes):
        if check.labels[label] == 0:
            check.notes["class without images"].append(name)
        elif check.labels[label] < _RARE * max(check.labels.values()):
            check.notes[f"class with under {_RARE:.0%} of the images of the largest"].append(name)
    if len(source.classes) < 2:
        check.errors["only one class"].append(source.classes[0])
    if options.source == "folder":
        _check_files(check, Path(options.root) / split)
    return check


def _check_image(check: SplitCheck, index: int) -> None:
    source = check.source
    name = source.name(index)
    try:
        image, label = source.load(index, "RGB")
    except UnreadableImage as error:
        check.errors["unreadable"].append(f"{name} ({error})")
        return
    file, _ = source.reader[index]
    check.labels[label] += 1
    with file, file if isinstance(file, Image.Image) else Image.open(file) as raw:
        note_picture(check, name, image, raw)


def note_picture(check: SplitCheck, name: str, image: Image.Image, raw: Image.Image) -> None:
    """Enter a readable picture, and what is peculiar about it; ``raw`` is it as stored."""
    check.sizes.append(image.size)
    check.pixels[name] = hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()
    for kind in _peculiarities(raw):
        check.notes[kind].append(name)
    if min(image.size) < 8:
        check.notes["under 8 pixels high or wide"].append(f"{name} {image.size}")
    if np.ptp(np.asarray(image)) == 0:
        check.notes["of one colour"].append(name)


def _peculiarities(image: Image.Image) -> Iterator[str]:
    if image.mode.startswith("I"):
        yield "16-bit grey: scaled to 8 bits"
    elif image.mode not in ("RGB", "L"):
        yield f"of mode {image.mode}: converted"
    if image.getexif().get(0x0112, 1) != 1:
        yield "rotated by EXIF: turned upright"
    try:
        frames = getattr(image, "n_frames", 1)
    except BROKEN:
        yield "animated, and damaged after its first frame, which is taken"
    else:
        if frames > 1:
            yield "animated: first frame taken"


def _check_files(check: SplitCheck, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not any(path.iterdir()):
            check.notes["empty folder"].append(str(path.relative_to(folder)))
        elif path.is_file() and path.suffix.lower() not in EXTENSIONS and not path.name.startswith("."):
            check.notes["not a picture by its ending: ignored"].append(str(path.relative_to(folder)))


def same_images(first: SplitCheck, second: SplitCheck) -> list[str]:
    """Names of images of ``second`` whose pixels are those of an image of ``first``: held-out data that was seen."""
    seen = set(first.pixels.values())
    return [name for name, pixels in second.pixels.items() if pixels in seen]
