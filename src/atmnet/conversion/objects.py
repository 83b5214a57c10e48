"""The objects of a picture, in the forms that formats have: boxes, polygons and masks.

Shapes: h x w pixels of a picture.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from atmnet.data.coco import CocoSplit
from atmnet.data.masks import checked_polygons, decode_mask
from atmnet.data.outlines import mask_outlines

#: A folder that layouts have around all pictures, which is no part of their names.
_IMAGES = "images/"


@dataclass(frozen=True)
class DataObject:
    """An object.

    Attributes:
        label: The number of its class, from 0.
        box: x0, y0, x1, y1 in pixels.
        polygons: Its parts as x, y, x, y, ...; empty if it has only a box.
        segmentation: What the data set has: polygons or run lengths in COCO's form, or None.
        area: In pixels, as annotated.
        crowd: Whether it is a region of uncounted objects.
    """

    label: int
    box: tuple[float, float, float, float]
    polygons: list[list[float]]
    segmentation: object
    area: float
    crowd: bool

    @property
    def has_other_box(self) -> bool:
        """Whether its box differs from that around its parts by more than a pixel."""
        xs = [value for points in self.polygons for value in points[::2]]
        ys = [value for points in self.polygons for value in points[1::2]]
        around = (min(xs), min(ys), max(xs), max(ys)) if xs else self.box
        return any(abs(one - other) > 1 for one, other in zip(self.box, around, strict=True))


#: A loss of formats in which an object with a mask has no box besides.
BOX_OF_MASK = "boxes that differ from their masks by over a pixel become those of the masks"


@dataclass(frozen=True)
class DataImage:
    """A picture and its objects; ``name`` is relative to the split, with slashes."""

    name: str
    path: Path
    width: int
    height: int
    objects: list[DataObject]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self.name.rpartition(".")[0]


@dataclass(frozen=True)
class DataPart:
    """A split to write.

    Attributes:
        split: 'train' or 'val'.
        classes: Class names.
        category_ids: The id of each class in the data set that is read.
        images: The pictures.
    """

    split: str
    classes: list[str]
    category_ids: list[int]
    images: list[DataImage]


@dataclass
class Losses:
    """What a format cannot hold: what, in words -> the number of objects that it concerns."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, number: int = 1) -> None:
        """Count objects."""
        if number:
            self.counts[what] += number

    def lines(self) -> list[str]:
        """A sentence for each kind."""
        return [f"{what}: {number} objects" for what, number in sorted(self.counts.items())]


def read_part(source: CocoSplit, split: str, losses: Losses) -> DataPart:
    """The pictures and objects of a split.

    Raises:
        ValueError: If a mask cannot be decoded.
    """
    images = []
    for index in range(len(source)):
        record = source.record(index)
        size = record["height"], record["width"]
        objects = []
        for item in record["objects"]:
            x, y, width, height = item["bbox"]
            objects.append(
                DataObject(
                    item["label"],
                    (x, y, x + width, y + height),
                    _polygons(item["segmentation"], size, losses),
                    item["segmentation"],
                    item["area"],
                    bool(item["iscrowd"]),
                )
            )
        name = record["file_name"].replace("\\", "/")
        images.append(DataImage(name, source.path(index), record["width"], record["height"], objects))
    if all(image.name.startswith(_IMAGES) for image in images):
        images = [replace(image, name=image.name.removeprefix(_IMAGES)) for image in images]
    return DataPart(split, source.classes, source.category_ids, images)


def without_crowd(part: DataPart, losses: Losses) -> DataPart:
    """A split without regions of uncounted objects."""
    images = [replace(image, objects=[item for item in image.objects if not item.crowd]) for image in part.images]
    counts = [sum(len(image.objects) for image in each) for each in (part.images, images)]
    losses.add("crowd regions are left out", counts[0] - counts[1])
    return replace(part, images=images)


def _polygons(segmentation: object, size: tuple[int, int], losses: Losses) -> list[list[float]]:
    """Polygons as they are, and masks by their outlines."""
    if not segmentation:
        return []
    if isinstance(segmentation, list):
        return [[float(value) for value in points] for points in checked_polygons(segmentation, *size)]
    outlines, holes = mask_outlines(decode_mask(segmentation, *size).astype(bool))
    losses.add("holes in masks are filled", bool(holes))
    return outlines
