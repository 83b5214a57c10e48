"""Detection data in COCO's format.

Shapes: N objects, H x W pixels.
"""

import hashlib
import importlib.util
import json
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from atmnet.data.class_names import normal_form
from atmnet.data.coco_checks import contradictions, crowd_classes, crowd_problems
from atmnet.data.coco_file import CocoAnnotation, CocoFile, CocoImage, choose_classes, named_classes, read_coco
from atmnet.data.images import UnreadableImage, read_image
from atmnet.data.inventory import Inventory, file_digest, file_sizes
from atmnet.data.masks import decode_mask
from atmnet.data.targets import DetectionTarget, no_objects
from atmnet_cli.errors import UserError, install
from atmnet_cli.options import DataOptions

#: Reads the annotations of a split: (options, split, class names of the training split or None).
ReadAnnotations = Callable[[DataOptions, str, list[str] | None], CocoFile]


class CocoObject(TypedDict):
    """An annotated object; ``label`` is an index into the classes, ``bbox`` is x, y, width and height in pixels."""

    id: int
    label: int
    bbox: list[float]
    area: float
    iscrowd: int
    segmentation: object


class CocoRecord(CocoImage):
    """An image and its annotated objects."""

    objects: list[CocoObject]


class CocoSplit:
    """Images with boxes and masks.

    The mask of an object without a segmentation is its box. Objects whose box has no area within the image are left
    out; other boxes stay as annotated. The records are stored as packed JSON: Python objects would be copied to every
    loader process.

    Args:
        file: The contents of the split.
        classes: Class names, in the order of the labels.
        masks: Whether to load masks. Decoding them takes longer than reading the picture.
        options: Its ``crowd`` and ``range``.

    Attributes:
        classes: Class names; a label is an index into them.
        category_ids: The category id of each class in the file.
        own_part: Whether the split was chosen by :mod:`atmnet.data.own_split`.
        notices: What to tell the user before training.
    """

    def __init__(self, file: CocoFile, classes: list[str], options: DataOptions, masks: bool = True) -> None:
        self.folder = file.folder
        self._files = (file.path,) if file.files is None else file.files
        self.classes, self.own_part = classes, file.own_part
        self._masks = masks
        self._range, crowd = options.range, options.crowd
        ids = {normal_form(category["name"]): category["id"] for category in file.categories}
        self.category_ids: list[int] = [ids[normal_form(name)] for name in classes]
        labels = {number: label for label, number in enumerate(self.category_ids)}
        objects: dict[int, list[CocoObject]] = defaultdict(list)
        counts: Counter[int] = Counter()
        crowds: Counter[int] = Counter()
        for annotation in file.annotations:
            item = _to_object(annotation, labels[annotation["category_id"]], crowd)
            objects[annotation["image_id"]].append(item)
            counts[item["label"]] += 1
            crowds[item["label"]] += item["iscrowd"]
        self.notices = _notices(counts, crowds, classes)
        images = sorted(file.images, key=lambda image: image["id"])
        self._records = _PackedRecords([{**image, "objects": objects[image["id"]]} for image in images])

    def __len__(self) -> int:
        return len(self._records)

    def record(self, index: int) -> CocoRecord:
        """The annotations of an image."""
        return self._records[index]

    def path(self, index: int) -> Path:
        """The image's file. Its name may differ from the annotated one in its form of Unicode, or by backslashes."""
        name = self._records[index]["file_name"]
        path = self.folder / name
        if not os.path.lexists(path):
            portable = name.replace("\\", "/")
            for candidate in (portable, *(unicodedata.normalize(form, portable) for form in ("NFC", "NFD"))):
                if os.path.isfile(self.folder / candidate):  # false, as Path.is_file is not, if the name is too long
                    return self.folder / candidate
        return path

    def name(self, index: int) -> str:
        """The image's file name."""
        return self._records[index]["file_name"]

    def inventory(self) -> Inventory:
        """The images with their sizes, and the checksum of the annotation files."""
        names = [self.name(index) for index in range(len(self))]
        sizes = file_sizes([self.folder / name for name in names])
        return Inventory(self.classes, names, sizes, facts={"annotations": _digest(self._files)})

    def image_id(self, index: int) -> int:
        """The image's id in the file."""
        return self._records[index]["id"]

    def load(self, index: int, mode: str) -> tuple[Image.Image, DetectionTarget]:
        """The picture in 'RGB' or 'L', and its objects, including crowd regions.

        Raises:
            UnreadableImage: If the picture is missing or cannot be decoded, or its size or a mask contradicts the
                annotations.
        """
        record = self._records[index]
        image = read_image(str(self.path(index)), mode, self._range)
        height, width = record["height"], record["width"]
        if image.size != (width, height):
            raise UnreadableImage(
                f"the picture has {image.width}x{image.height} pixels, but is annotated as {width}x{height}"
            )
        objects = [item for item in record["objects"] if has_area(item["bbox"], height, width)]
        if not objects:
            return image, no_objects(height, width, record["id"])
        x0, y0, w, h = torch.tensor([item["bbox"] for item in objects], dtype=torch.float32).unbind(1)
        masks = torch.zeros(len(objects), 0, 0, dtype=torch.bool)
        if self._masks:
            try:
                masks = torch.stack([_mask(item, height, width) for item in objects])
            except (ValueError, TypeError, RuntimeError) as error:
                raise UnreadableImage(f"mask: {error}") from error
        return image, DetectionTarget(
            boxes=torch.stack([x0, y0, x0 + w, y0 + h], 1),
            labels=torch.tensor([item["label"] for item in objects]),
            masks=masks,
            crowd=torch.tensor([bool(item["iscrowd"]) for item in objects]),
            area=torch.tensor([float(item["area"]) for item in objects]),
            image_id=record["id"],
        )

    def blank(self, mode: str) -> tuple[Image.Image, DetectionTarget]:
        """A sample without objects."""
        return Image.new(mode, (32, 32)), no_objects(32, 32)


def open_coco(
    options: DataOptions,
    split: str,
    classes: list[str] | None = None,
    masks: bool = True,
    read: ReadAnnotations = read_coco,
) -> CocoSplit:
    """Open a split.

    Args:
        options: ``root`` contains ``annotations/instances_SPLIT.json``, and the images in ``SPLIT`` or
            ``images/SPLIT``.
        split: Name of the split; or "IMAGES:ANNOTATIONS.json", a folder and a file relative to ``root``, for another
            layout.
        classes: Class names of the training split. Default: those in the file ``options.classes``, else the categories
            by ascending id.
        masks: Whether to load masks.
        read: Reads the annotations of a format. The layout above is that of COCO's.

    Raises:
        UserError: If there is no such split, it contradicts itself, most objects are crowd regions, or its categories
            differ from ``classes``.
    """
    require_masks(options)
    file = read(options, split, named_classes(options, classes))
    classes = choose_classes(file, options, classes)
    for kind, ids in {**contradictions(file, masks), **crowd_problems(file, options.crowd)}.items():
        raise UserError(f"{file.path}: {kind}: {len(ids)}, the first {ids[0]}; `atmnet check-data` lists all")
    return CocoSplit(file, classes, options, masks)


def require_masks(options: DataOptions) -> None:
    """Raise a UserError if the library that decodes masks is missing."""
    if importlib.util.find_spec("faster_coco_eval") is None:
        raise UserError(f"data.source: {options.source!r} needs faster-coco-eval: {install('dense')}")


def has_area(bbox: Iterable[float], height: int, width: int) -> bool:
    """Whether a box x, y, width, height has any area within the image."""
    x, y, w, h = bbox
    return min(x + w, width) > max(x, 0) and min(y + h, height) > max(y, 0)


def _mask(item: CocoObject, height: int, width: int) -> Tensor:
    if item["segmentation"]:
        return torch.from_numpy(decode_mask(item["segmentation"], height, width)).bool()
    x, y, w, h = item["bbox"]
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[max(round(y), 0) : max(round(y + h), 0), max(round(x), 0) : max(round(x + w), 0)] = True
    return mask


def _digest(files: Sequence[Path]) -> str:
    """The SHA-256 of a file, or of the names and checksums of several."""
    if len(files) == 1:
        return file_digest(files[0])
    return hashlib.sha256("".join(f"{file.name} {file_digest(file)}\n" for file in files).encode()).hexdigest()


def _notices(counts: Counter[int], crowds: Counter[int], classes: list[str]) -> list[str]:
    notices = []
    if empty := [name for label, name in enumerate(classes) if not counts[label]]:
        notices.append(
            f"{len(empty)} of {len(classes)} classes have no objects: {', '.join(empty[:5])}; --data.used_classes true "
            "leaves them out"
        )
    if mostly := crowd_classes(counts, crowds, classes):
        notices.append(
            f"most annotations of {len(mostly)} classes are crowd regions, which are not trained on: "
            f"{', '.join(mostly[:5])}; with --data.crowd objects, all annotations are objects"
        )
    return notices


def _to_object(annotation: CocoAnnotation, label: int, crowd: str | None) -> CocoObject:
    _, _, width, height = annotation["bbox"]
    return {
        "id": annotation["id"],
        "label": label,
        "bbox": annotation["bbox"],
        "area": annotation.get("area", width * height),
        "iscrowd": int(crowd != "objects" and annotation.get("iscrowd", 0) == 1),
        "segmentation": annotation.get("segmentation"),
    }


class _PackedRecords:
    """Records as JSON in one buffer, whose memory processes can share."""

    def __init__(self, records: Iterable[CocoRecord]) -> None:
        texts = [json.dumps(record, separators=(",", ":")).encode() for record in records]
        self._ends = np.cumsum([len(text) for text in texts])
        self._buffer = b"".join(texts)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> CocoRecord:
        start = self._ends[index - 1] if index else 0
        record: CocoRecord = json.loads(self._buffer[start : self._ends[index]])
        return record
