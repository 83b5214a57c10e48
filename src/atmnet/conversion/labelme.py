"""LabelMe's format: a JSON file beside each picture, in ``SPLIT``."""

from pathlib import Path
from typing import Any

from atmnet.conversion.objects import BOX_OF_MASK, DataImage, DataPart, Losses
from atmnet.files import write_json


def write_labelme(part: DataPart, root: Path, losses: Losses) -> Path:
    """Write a split; returns the folder for the pictures. Parts of one object have the same ``group_id``."""
    for image in part.images:
        path = root / part.split / f"{image.stem}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": _shapes(image, part.classes, losses),
            "imagePath": image.name.rpartition("/")[2],
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
        write_json(path, content)
    return root / part.split


def _shapes(image: DataImage, classes: list[str], losses: Losses) -> list[dict[str, Any]]:
    shapes: list[dict[str, Any]] = []
    for number, item in enumerate(image.objects):
        losses.add(BOX_OF_MASK, item.has_other_box)
        x0, y0, x1, y1 = item.box
        forms = [("polygon", _pairs(points)) for points in item.polygons] or [("rectangle", [[x0, y0], [x1, y1]])]
        group = number if len(forms) > 1 else None
        shapes += [
            {
                "label": classes[item.label], "points": points, "group_id": group, "description": "",
                "shape_type": kind, "flags": {}, "mask": None,
            }
            for kind, points in forms
        ]  # fmt: skip
    return shapes


def _pairs(points: list[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(points[::2], points[1::2], strict=True)]
