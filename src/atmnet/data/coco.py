"""Detection data in COCO's format.

Shapes: N objects, H x W pixels.
"""

import importlib.util
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from atmnet.data.coco_file import CocoFile, choose_classes, contradictions, read_coco
from atmnet.data.images import UnreadableImage, read_image
from atmnet.data.source import read_class_file
from atmnet.data.targets import DetectionTarget, no_objects
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions


class CocoSource:
    """Images with boxes and masks.

    An object without a segmentation has its box as mask. Objects whose box has no area within the image are left out;
    other boxes are as annotated. The records are kept packed: as Python objects, those of COCO would be copied to every
    loader process.

    Args:
        file: What the split holds.
        classes: Class names, of the file's categories.
        masks: Whether masks are wanted: to decode them takes longer than to read the picture.

    Attributes:
        classes: Class names; a label is an index into them.
        category_ids: The file's number of each class.
    """

    def __init__(self, file: CocoFile, classes: list[str], masks: bool = True) -> None:
        self.folder = file.folder
        self.classes = classes
        self._masks = masks
        ids = {category["name"]: category["id"] for category in file.categories}
        self.category_ids: list[int] = [ids[name] for name in classes]
        labels = {number: label for label, number in enumerate(self.category_ids)}
        objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in file.annotations:
            objects[annotation["image_id"]].append(_essence(annotation, labels[annotation["category_id"]]))
        images = sorted(file.images, key=lambda image: image["id"])
        self._records = _Packed([{**image, "objects": objects[image["id"]]} for image in images])

    def __len__(self) -> int:
        return len(self._records)

    def record(self, index: int) -> dict[str, Any]:
        """What the file says of an image; 'objects' are its annotations, with 'label' for the category."""
        record: dict[str, Any] = self._records[index]
        return record

    def name(self, index: int) -> str:
        """The image's file name."""
        return str(self._records[index]["file_name"])

    def image_id(self, index: int) -> int:
        """The image's number in the file."""
        return int(self._records[index]["id"])

    def load(self, index: int, mode: str) -> tuple[Image.Image, DetectionTarget]:
        """The picture in 'RGB' or 'L', and its objects, crowds among them.

        Raises:
            UnreadableImage: Where the picture is missing or cannot be decoded, or its size or a mask contradicts the
                annotations.
        """
        record = self._records[index]
        image = read_image(str(self.folder / record["file_name"]), mode)
        height, width = record["height"], record["width"]
        if image.size != (width, height):
            raise UnreadableImage(f"it is of {image.width}x{image.height} pixels; annotated as {width}x{height}")
        objects = [thing for thing in record["objects"] if has_area(thing["bbox"], height, width)]
        if not objects:
            return image, no_objects(height, width, record["id"])
        x0, y0, w, h = torch.tensor([thing["bbox"] for thing in objects], dtype=torch.float32).unbind(1)
        masks = torch.zeros(len(objects), 0, 0, dtype=torch.bool)
        if self._masks:
            try:
                masks = torch.stack([_mask(thing, height, width) for thing in objects])
            except (ValueError, TypeError, RuntimeError) as error:
                raise UnreadableImage(f"mask: {error}") from error
        return image, DetectionTarget(
            boxes=torch.stack([x0, y0, x0 + w, y0 + h], 1),
            labels=torch.tensor([thing["label"] for thing in objects]),
            masks=masks,
            crowd=torch.tensor([bool(thing["iscrowd"]) for thing in objects]),
            area=torch.tensor([float(thing["area"]) for thing in objects]),
            image_id=record["id"],
        )

    def blank(self, mode: str) -> tuple[Image.Image, DetectionTarget]:
        """A sample without objects."""
        return Image.new(mode, (32, 32)), no_objects(32, 32)


def open_coco(options: DataOptions, split: str, classes: list[str] | None = None, masks: bool = True) -> CocoSource:
    """Open a split.

    Args:
        options: ``root`` holds ``annotations/instances_SPLIT.json``, and the images in ``SPLIT`` or ``images/SPLIT``.
        split: Its name; or "IMAGES:ANNOTATIONS.json", folder and file, for another layout, relative to ``root``.
        classes: Class names fixed by the training split. Default: ``options.classes``, else by ascending id.
        masks: Whether masks are wanted.

    Raises:
        UserError: Where there is no such split, it contradicts itself, or its classes are not ``classes``.
    """
    require_masks()
    file = read_coco(options, split)
    if classes is None and options.classes:
        classes = read_class_file(options.classes)
    classes = choose_classes(file, classes)
    for kind, ids in contradictions(file).items():
        raise UserError(f"{file.path}: {kind}: {len(ids)}, the first {ids[0]}; `atmnet check-data` lists all")
    return CocoSource(file, classes, masks)


def require_masks() -> None:
    """Raise a UserError where the library that decodes masks is missing."""
    if importlib.util.find_spec("faster_coco_eval") is None:
        raise UserError("data.source: 'coco' needs faster-coco-eval: pip install 'atmnet[dense]'")


def has_area(bbox: Iterable[float], height: int, width: int) -> bool:
    """Whether a box x, y, width, height has any area within the image."""
    x, y, w, h = bbox
    return min(x + w, width) > max(x, 0) and min(y + h, height) > max(y, 0)


def decode_mask(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Polygons, or run lengths as numbers or compressed -> (H, W) uint8 of 0 and 1.

    Raises:
        ValueError: Where it is none of these, or of another size.
    """
    from faster_coco_eval.core import mask

    if isinstance(segmentation, list):
        polygons = [points for points in segmentation if len(points) >= 6]
        if not polygons or any(len(points) % 2 for points in segmentation):
            raise ValueError("expected polygons of at least three points x, y")
        runs = mask.merge(mask.frPyObjects(polygons, height, width))
    elif isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"it is of (height, width) {segmentation['size']}; the image of {[height, width]}")
        listed = isinstance(segmentation["counts"], list)
        if listed and sum(segmentation["counts"]) != height * width:
            raise ValueError(f"its runs sum to {sum(segmentation['counts'])} pixels; the image has {height * width}")
        runs = mask.frPyObjects(segmentation, height, width) if listed else segmentation
    else:
        raise ValueError("expected polygons or run lengths {size, counts}")
    return np.asarray(mask.decode(runs))


def _mask(thing: dict[str, Any], height: int, width: int) -> Tensor:
    if thing["segmentation"]:
        return torch.from_numpy(decode_mask(thing["segmentation"], height, width)).bool()
    x, y, w, h = thing["bbox"]
    found = torch.zeros(height, width, dtype=torch.bool)
    found[max(round(y), 0) : max(round(y + h), 0), max(round(x), 0) : max(round(x + w), 0)] = True
    return found


def _essence(annotation: dict[str, Any], label: int) -> dict[str, Any]:
    _, _, width, height = annotation["bbox"]
    return {
        "id": annotation["id"],
        "label": label,
        "bbox": annotation["bbox"],
        "area": annotation.get("area", width * height),
        "iscrowd": annotation.get("iscrowd", 0),
        "segmentation": annotation.get("segmentation"),
    }


class _Packed:
    """JSON values in one buffer, so that processes can share their memory."""

    def __init__(self, values: Iterable[Any]) -> None:
        texts = [json.dumps(value, separators=(",", ":")).encode() for value in values]
        self._ends = np.cumsum([len(text) for text in texts])
        self._buffer = b"".join(texts)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Any:
        start = self._ends[index - 1] if index else 0
        return json.loads(self._buffer[start : self._ends[index]])
