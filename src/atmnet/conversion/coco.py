"""COCO's format: ``annotations/instances_SPLIT.json`` and pictures in ``images/SPLIT``."""

from pathlib import Path
from typing import Any

from atmnet.conversion.objects import DataPart, Losses
from atmnet.files import write_json


def write_coco(part: DataPart, root: Path, losses: Losses) -> Path:
    """Write a split, with everything that the data set has; returns the folder for the pictures."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(part.images, 1):
        images.append({"id": image_id, "file_name": image.name, "width": image.width, "height": image.height})
        for item in image.objects:
            x0, y0, x1, y1 = item.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": part.category_ids[item.label],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": item.area,
                    "iscrowd": int(item.crowd),
                    **({"segmentation": item.segmentation} if item.segmentation else {}),
                }
            )
    categories = [{"id": number, "name": name} for number, name in zip(part.category_ids, part.classes, strict=True)]
    path = root / "annotations" / f"instances_{part.split}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})
    return root / "images" / part.split
