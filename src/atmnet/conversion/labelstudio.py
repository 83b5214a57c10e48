"""Label Studio's JSON: ``SPLIT/tasks.json``, and pictures beside it."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from atmnet.conversion.objects import BOX_OF_MASK, DataImage, DataPart, Losses
from atmnet.files import write_json


def write_labelstudio(part: DataPart, root: Path, losses: Losses) -> Path:
    """Write a split; returns the folder for the pictures. Tasks name local files, as its local storage does."""
    folder = root / part.split
    folder.mkdir(parents=True)
    tasks = [
        {
            "id": number,
            "data": {"image": f"/data/local-files/?d={quote(f'{part.split}/{image.name}')}"},
            "annotations": [{"id": number, "was_cancelled": False, "result": _regions(image, part.classes, losses)}],
        }
        for number, image in enumerate(part.images, 1)
    ]
    write_json(folder / "tasks.json", tasks)
    return folder


def _regions(image: DataImage, classes: list[str], losses: Losses) -> list[dict[str, Any]]:
    """Coordinates are percentages of the picture's sides."""
    regions: list[dict[str, Any]] = []
    sides = image.width, image.height
    for item in image.objects:
        if len(item.polygons) > 1:
            losses.add("masks in several parts become boxes")
        name = classes[item.label]
        if len(item.polygons) == 1:
            losses.add(BOX_OF_MASK, item.has_other_box)
            shares = [100 * value / sides[i % 2] for i, value in enumerate(item.polygons[0])]
            points = [list(pair) for pair in zip(shares[::2], shares[1::2], strict=True)]
            kind, value = "polygonlabels", {"points": points, "closed": True, "polygonlabels": [name]}
        else:
            x0, y0, x1, y1 = (100 * value / sides[i % 2] for i, value in enumerate(item.box))
            kind = "rectanglelabels"
            value = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0, kind: [name]}
        regions.append(
            {
                "id": f"{len(regions)}", "type": kind, "from_name": "label", "to_name": "image",
                "original_width": image.width, "original_height": image.height, "image_rotation": 0, "value": value,
            }
        )  # fmt: skip
    return regions
