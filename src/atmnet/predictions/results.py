"""Writes predictions to files: a table; drawings, COCO results and YOLO labels, or label maps.

Shapes: N objects in an image of H x W pixels, K classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from atmnet.files import replacing, write_flushed, write_json
from atmnet.predictions.answers import Answer
from atmnet.predictions.colours import class_colours
from atmnet.predictions.yolo_labels import yolo_labels
from atmnet.tasks.matching import MIN_SCORE
from atmnet_cli.errors import UserError, install
from atmnet_cli.printing import printable

_PALETTE_SIZE = 256


class Results:
    """A folder of predictions.csv and drawings, with the label maps of a segmenter or the objects of a detector.

    For an image NAME.jpg the drawing is NAME.png and the label map NAME_labels.png. Images of the same name in several
    folders become NAME, NAME_2, ... The objects of all images are in results.json, and the images and classes that it
    refers to are in images.json, so that ``COCO("images.json").loadRes("results.json")`` reads both. If all names are
    numbers, as in COCO, these are the image ids; else images are numbered from 1. The objects that are drawn are also
    in labels/NAME.txt in YOLO's format, whose classes are the lines of classes.txt.

    Args:
        folder: Folder to write to; created if it does not exist. Existing files of the same names are replaced.
        classes: Names of the K classes.
        category_ids: COCO's ids of the classes, for a detector.
        min_score: Minimum score of an object in YOLO's labels, that of the drawings.

    Attributes:
        lines: The lines of predictions.csv, which are added to; see :class:`~atmnet.predictions.csv_table.CsvTable`.
    """

    def __init__(
        self, folder: Path, classes: list[str], category_ids: Sequence[int], min_score: float = MIN_SCORE
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.classes = classes
        self.category_ids = list(category_ids)
        self.min_score = min_score
        self.lines: list[str] = []
        self._names: set[str] = set()
        self._images: list[tuple[Path, tuple[int, int], list[dict[str, Any]]]] = []

    def add(self, path: Path, output: Any, answer: Answer) -> None:
        """Write the drawing of one image, and its label map or its YOLO labels; keep the objects for :meth:`close`.

        Args:
            path: Path of the image.
            output: Output of the task's network; see ``DetectionTask.outputs`` and ``SegmentationTask.outputs``.
            answer: The answer made from ``output``.

        Raises:
            UserError: If the image is in the folder to write to, where it might be replaced.
        """
        if path.parent.resolve() == self.folder.resolve():
            raise UserError(f"output: {self.folder}: this folder contains the images to predict; expected another one")
        name = self._free_name(path.stem)
        save_png(answer.draw(None), self.folder / f"{name}.png")
        if isinstance(output, Tensor):
            save_png(label_map_image(output, len(self.classes)), self.folder / f"{name}_labels.png")
        else:
            labels = self.folder / "labels"
            labels.mkdir(exist_ok=True)
            _write_text(labels / f"{name}.txt", yolo_labels(output, answer.size, self.min_score))
            self._images.append((path, answer.size, coco_results(output, self.category_ids)))

    def close(self) -> None:
        """Write predictions.csv, and for a detector results.json, images.json and classes.txt."""
        _write_text(self.folder / "predictions.csv", "".join(f"{line}\n" for line in self.lines))
        if not self._images:
            return
        stems = [path.stem for path, _, _ in self._images]
        numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]
        ids = numbers if len(set(numbers)) == len(stems) else list(range(1, len(stems) + 1))
        images = [
            {"id": number, "file_name": str(path), "width": width, "height": height}
            for number, (path, (width, height), _) in zip(ids, self._images, strict=True)
        ]
        categories = [
            {"id": number, "name": name} for number, name in zip(self.category_ids, self.classes, strict=True)
        ]
        results = [
            {"image_id": number, **result}
            for number, (_, _, image_results) in zip(ids, self._images, strict=True)
            for result in image_results
        ]
        write_json(self.folder / "results.json", results)
        write_json(
            self.folder / "images.json", {"info": {}, "images": images, "categories": categories, "annotations": []}
        )
        _write_text(self.folder / "classes.txt", "".join(f"{printable(name)}\n" for name in self.classes))

    def _free_name(self, stem: str) -> str:
        """``stem``, with a number appended if another image's files have this name, ignoring case."""
        number, name = 1, stem
        while not self._names.isdisjoint(files := {name.casefold(), f"{name}_labels".casefold()}):
            number += 1
            name = f"{stem}_{number}"
        self._names |= files
        return name


def coco_results(output: dict[str, Tensor], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The objects of an image in COCO's results format, without the image id.

    Args:
        output: boxes (N, 4) as x0 y0 x1 y1, labels (N,) from 0, scores (N,), and optionally masks (N, 1, H, W),
            booleans, or probabilities, which count where they exceed 0.5.
        category_ids: COCO's category id of each label.

    Raises:
        UserError: If there are masks and faster-coco-eval is not installed.
    """
    boxes, labels, scores = (output[name].cpu().tolist() for name in ("boxes", "labels", "scores"))
    results: list[dict[str, Any]] = [
        {"category_id": category_ids[label], "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for (x0, y0, x1, y1), label, score in zip(boxes, labels, scores, strict=True)
    ]
    if "masks" in output:
        try:
            from faster_coco_eval.core.mask import encode
        except ImportError as error:
            raise UserError(f"masks in results.json need the package {error.name}: {install('dense')}") from error
        for result, mask in zip(results, output["masks"].cpu(), strict=True):
            pixels = (mask.reshape(mask.shape[-2:]) > 0.5).numpy().astype(np.uint8)
            rle = encode(np.asfortranarray(pixels))
            result["segmentation"] = {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}
    return results


def label_map_image(label_map: Tensor, count: int) -> Image.Image:
    """A label map (H, W) of ``count`` classes as an image.

    Up to 255 classes give 8 bits with the class colours as palette, more give 16 bits.
    """
    labels = label_map.cpu().numpy()
    if count >= _PALETTE_SIZE:
        return Image.fromarray(labels.astype(np.uint16))
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(
        [value for colour in class_colours(count) for value in colour] + [255] * 3 * (_PALETTE_SIZE - count)
    )
    return image


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        write_flushed(temporary, text.encode("utf-8", "backslashreplace"))


def save_png(image: Image.Image, path: Path) -> None:
    """Write ``image`` to ``path`` as PNG, replacing an older file atomically."""
    with replacing(path) as temporary:
        image.save(temporary, "PNG")
