"""Read every image of a data set, and list errors and notes: what must be corrected, and what is worth knowing."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import InitVar, dataclass, field

import numpy as np
from PIL import Image

from atmnet.data.dataset import Split
from atmnet.data.depths import Depths
from atmnet.data.images import UnreadableImage, open_picture
from atmnet.data.labelled import LabelledSplit, open_labelled
from atmnet_cli.options import DataOptions

#: A class counts as rare if it has less than this share of the images of the largest class.
_RARE = 0.05


@dataclass
class SplitCheck:
    """The contents of a split, and its errors and notes.

    Attributes:
        source: The split, for any kind of task.
        sizes: (width, height) of every readable image, in pixels.
        labels: How often each label occurs: the number of images that show it (classification and segmentation) or of
            objects (detection).
        pixels: Name of every readable image -> a hash of its size and pixels.
        errors: Kind of error -> the images or classes that have it. Data with errors cannot be used as it is.
        notes: Kind of peculiarity -> the images or classes that have it. Nothing needs to be corrected.
        range: See ``data.range``.
        depths: The values of images of more than 8 bits.
    """

    source: Split
    range: InitVar[tuple[float, float] | None] = None
    sizes: list[tuple[int, int]] = field(default_factory=list)
    labels: Counter[int] = field(default_factory=Counter)
    pixels: dict[str, bytes] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    depths: Depths = field(default_factory=Depths)

    def __post_init__(self, range: tuple[float, float] | None) -> None:
        self.depths.value_range = range


def check_split(options: DataOptions, split: str, classes: list[str] | None = None) -> SplitCheck:
    """Read all images of a split for classification.

    Args:
        options: Where the data set is.
        split: The value of ``options.train`` or ``options.val``.
        classes: Class names of the training split, to check another split. Default: those of the split itself.

    Raises:
        UserError: If the split is missing, empty, or has other classes.
    """
    source = open_labelled(options, split, classes)
    check = SplitCheck(source, options.range)
    for index in range(len(source)):
        _check_image(check, source, index)
    if len(source.classes) < 2:
        check.errors["only one class"].append(source.classes[0])
    note_classes(check, source.classes)
    for kind, names in source.left_out.items():
        check.notes[kind] += names
    return check


def _check_image(check: SplitCheck, source: LabelledSplit, index: int) -> None:
    name = source.name(index)
    try:
        image, label = source.load(index, "RGB")
        file, _ = source.reader[index]
        with file, nullcontext(file) if isinstance(file, Image.Image) else open_picture(file) as raw:
            add_picture(check, name, image, raw)
    except UnreadableImage as error:
        check.errors["unreadable"].append(f"{name} ({error})")
    else:
        check.labels[label] += 1


def add_picture(check: SplitCheck, name: str, image: Image.Image, raw: Image.Image) -> None:
    """Add a readable picture to a check, and note its peculiarities; ``raw`` is the picture before its conversion."""
    check.sizes.append(image.size)
    check.pixels[name] = hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()
    for kind in _peculiarities(raw):
        check.notes[kind].append(name)
    if depth := check.depths.add(raw):
        check.notes[depth].append(name)
    if min(image.size) < 8:
        check.notes["under 8 pixels high or wide"].append(f"{name} {image.size}")
    if np.ptp(np.asarray(image)) == 0:
        check.notes["all pixels of one colour"].append(name)


def _peculiarities(image: Image.Image) -> Iterator[str]:
    if not image.mode.startswith(("I", "F", "RGB", "L")) or image.mode in ("RGBA", "LA"):
        yield f"mode {image.mode}: converted"
    if image.getexif().get(0x0112, 1) != 1:
        yield "rotated by EXIF: turned upright"
    try:
        is_animated = getattr(image, "is_animated", False)
    except Exception:
        yield "animated, and damaged after the first frame: first frame used"
    else:
        if is_animated:
            yield "animated: first frame used"


def note_classes(check: SplitCheck, classes: list[str]) -> None:
    """Note classes of no or few images, and names that may be meant to be one."""
    for label, name in enumerate(classes):
        if check.labels[label] == 0:
            check.notes["class without images"].append(name)
        elif check.labels[label] < _RARE * max(check.labels.values()):
            check.notes[f"class with less than {_RARE:.0%} of the images of the largest class"].append(name)
    note_names(check, classes)


def note_names(check: SplitCheck, classes: list[str]) -> None:
    """Note classes whose names differ only in capital letters or spaces, which may be meant to be one class."""
    known: dict[str, str] = {}
    for name in classes:
        if (other := known.setdefault("".join(name.casefold().split()), name)) != name:
            check.notes["classes whose names differ only in capital letters or spaces"].append(f"{other!r}, {name!r}")


def same_images(first: SplitCheck, second: SplitCheck) -> list[str]:
    """Names of images in ``second`` that have the same pixels as an image in ``first``.

    Validation images that are also training images make the results of an evaluation too good.
    """
    known = set(first.pixels.values())
    return [name for name, pixels in second.pixels.items() if pixels in known]
