"""What a detector or segmenter found, as files for people and for other programs.

Shapes: N objects of a picture of H x W pixels, K classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from atmnet.files import replacing, write_json
from atmnet.predictions.answers import Answer
from atmnet.predictions.colours import class_colours
from atmnet_cli.errors import UserError

_PALETTE_SIZE = 256


class Results:
    """A folder of drawings, with PNG label maps of a segmenter or COCO results of a detector.

    Each picture NAME.jpg is drawn in NAME.png; pictures of one name in several folders become NAME, NAME_2, ... Its
    label map is NAME_labels.png. All objects go to results.json, and the pictures and classes that it speaks of to
    images.json, so that ``COCO("images.json").loadRes("results.json")`` reads both. Where all names are numbers, as
    COCO's are, these are the image ids; else pictures are numbered from 1.

    Args:
        folder: Made where it does not exist. Files of the same names in it are replaced.
        classes: Names of the K classes.
        category_ids: COCO's ids of the classes, for a detector.

    Raises:
        UserError: Where ``folder`` is a file.
    """

    def __init__(self, folder: Path, classes: list[str], category_ids: Sequence[int]) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"output: {folder}: expected a folder, but there is a file in its place") from error
        self.folder = folder
        self.classes = classes
        self.category_ids = list(category_ids)
        self._names: set[str] = set()
        self._pictures: list[tuple[Path, tuple[int, int], list[dict[str, Any]]]] = []

    def add(self, path: Path, output: Any, answer: Answer) -> None:
        """Write what there is of one picture.

        Args:
            path: Of the picture.
            output: Of the task's network: see ``DetectionTask.outputs`` and ``SegmentationTask.outputs``.
            answer: Made of it.

        Raises:
            UserError: Where the picture lies in the folder to write to, and might be replaced.
        """
        if path.parent.resolve() == self.folder.resolve():
            raise UserError(f"output: {self.folder}: holds pictures to predict; expected another folder")
        name = self._free_name(path.stem)
        save_png(answer.draw(), self.folder / f"{name}.png")
        if isinstance(output, Tensor):
            save_png(label_map_image(output, len(self.classes)), self.folder / f"{name}_labels.png")
        else:
            self._pictures.append((path, answer.size, coco_results(output, self.category_ids)))

    def close(self) -> None:
        """Write the COCO results of a detector."""
        if not self._pictures:
            return
        stems = [path.stem for path, _, _ in self._pictures]
        numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]
        ids = numbers if len(set(numbers)) == len(stems) else list(range(1, len(stems) + 1))
        images = [
            {"id": number, "file_name": str(path), "width": width, "height": height}
            for number, (path, (width, height), _) in zip(ids, self._pictures, strict=True)
        ]
        categories = [
            {"id": number, "name": name} for number, name in zip(self.category_ids, self.classes, strict=True)
        ]
        found = [
            {"image_id": number, **one}
            for number, (_, _, each) in zip(ids, self._pictures, strict=True)
            for one in each
        ]
        write_json(self.folder / "results.json", found)
        write_json(
            self.folder / "images.json", {"info": {}, "images": images, "categories": categories, "annotations": []}
        )

    def _free_name(self, stem: str) -> str:
        """``stem``, or with a number where it would meet another picture's files, on any file system."""
        number, name = 1, stem
        while not self._names.isdisjoint(files := {name.casefold(), f"{name}_labels".casefold()}):
            number += 1
            name = f"{stem}_{number}"
        self._names |= files
        return name


def coco_results(output: dict[str, Tensor], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The objects of a picture in COCO's format of results, but without its image id.

    Args:
        output: boxes (N, 4) as x0 y0 x1 y1, labels (N,) from 0, scores (N,), and perhaps masks (N, 1, H, W), booleans
            or probabilities, of which more than a half counts.
        category_ids: By label.

    Raises:
        UserError: Where there are masks and faster-coco-eval is not installed.
    """
    boxes, labels, scores = (output[name].cpu().tolist() for name in ("boxes", "labels", "scores"))
    found: list[dict[str, Any]] = [
        {"category_id": category_ids[label], "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for (x0, y0, x1, y1), label, score in zip(boxes, labels, scores, strict=True)
    ]
    if "masks" in output:
        try:
            from faster_coco_eval.core.mask import encode
        except ImportError as error:
            raise UserError(f"run lengths of masks need {error.name}: pip install 'atmnet[dense]'") from error
        for one, mask in zip(found, output["masks"].cpu(), strict=True):
            pixels = (mask.reshape(mask.shape[-2:]) > 0.5).numpy().astype(np.uint8)
            rle = encode(np.asfortranarray(pixels))
            one["segmentation"] = {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}
    return found


def label_map_image(label_map: Tensor, count: int) -> Image.Image:
    """A label map (H, W) as a picture: of up to 255 classes with their colours as its palette, of more with 16 bits."""
    labels = label_map.cpu().numpy()
    if count >= _PALETTE_SIZE:
        return Image.fromarray(labels.astype(np.uint16))
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(
        [value for colour in class_colours(count) for value in colour] + [255] * 3 * (_PALETTE_SIZE - count)
    )
    return image


def save_png(image: Image.Image, path: Path) -> None:
    """Replace ``path`` by ``image``, atomically."""
    with replacing(path) as beside:
        image.save(beside, "PNG")
