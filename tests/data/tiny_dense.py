"""Tiny data sets in COCO's and ADE20K's layouts, for tests to break."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

#: Height and width of their pictures.
SIZE = (20, 30)


def write_picture(path: Path, size: tuple[int, int] = SIZE, seed: int = 0) -> None:
    """Noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def coco_content() -> dict:
    """Three pictures: one with a polygon and a crowd as runs, one empty, one with a box alone. Categories 90 and 7."""
    height, width = SIZE
    images = [{"id": n, "file_name": f"{n}.png", "height": height, "width": width} for n in (30, 10, 20)]
    polygon = [2, 3, 12, 3, 12, 13, 2, 13]
    runs = {"size": [height, width], "counts": [0, 5 * height, 25 * height]}
    annotations = [
        {"id": 1, "image_id": 10, "category_id": 90, "bbox": [2, 3, 10, 10], "area": 99.5, "iscrowd": 0,
         "segmentation": [polygon]},
        {"id": 2, "image_id": 10, "category_id": 7, "bbox": [0, 0, 5, 20], "area": 100, "iscrowd": 1,
         "segmentation": runs},
        {"id": 3, "image_id": 30, "category_id": 7, "bbox": [20.5, 10, 20, 5]},
    ]  # fmt: skip
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 7, "name": "train"}],
    }


def write_coco(root: Path, content: object = None, split: str = "train", nested: bool = False) -> Path:
    """A split with the pictures that ``content`` names."""
    content = coco_content() if content is None else content
    folder = root / "images" / split if nested else root / split
    folder.mkdir(parents=True)
    for number in (10, 20, 30):
        write_picture(folder / f"{number}.png", seed=number)
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def write_ade20k(root: Path, split: str = "training", classes: tuple[str, ...] = ("wall", "sky", "cat")) -> Path:
    """Two pictures; the label map of each has 0 to 3, a column of 0 first."""
    labels = np.repeat(np.array([0] * 5 + [1] * 10 + [2] * 10 + [3] * 5, np.uint8)[None], SIZE[0], 0)
    for number in range(2):
        write_picture(root / "images" / split / f"a{number}.jpg", seed=number)
        path = root / "annotations" / split / f"a{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(path)
    (root / "classes.txt").write_text("\n".join(classes))
    return root
