"""Contradictions in a file of COCO's format, found before anything is computed from its numbers.

Files of annotations come from many tools: numbers may be NaN, or larger than any picture, and memory is allocated by
them.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from atmnet.data.coco_file import CocoAnnotation, CocoFile, CocoImage

#: Upper limits of a picture: its longer side, and Pillow's limit of its pixels, over which it is not read.
_MAX_SIDE, _MAX_PIXELS = 100_000, 178_956_970
#: Coordinates may exceed the image, but not by more than this multiple of its longer side, or these pixels.
_REACH, _MIN_REACH = 10, 1000
#: Annotations whose masks are checked at once.
_CHUNK = 10_000


def contradictions(file: CocoFile, masks: bool = True) -> dict[str, list[int]]:
    """Kind of problem -> ids of the images or annotations that have it; a file with problems cannot be used.

    Kinds that begin with 'image' name images, others annotations.

    Args:
        file: The contents of a split.
        masks: Whether masks are used, and so their numbers must be sound, too.
    """
    annotations = file.annotations
    sides = {image["id"]: max(image["width"], image["height"]) for image in file.images}
    categories = {category["id"] for category in file.categories}
    reach = np.array(
        [max(_REACH * min(sides.get(a["image_id"], 0), _MAX_SIDE), _MIN_REACH) for a in annotations], float
    )
    boxes = _numbers([a["bbox"] for a in annotations], 4)
    areas = _numbers([[a.get("area", 0)] for a in annotations], 1)[:, 0]
    ids = [a["id"] for a in annotations]
    in_reach = np.asarray((np.abs(boxes) <= reach[:, None]).all(1))  # false for NaN
    problems = {
        "image id more than once": _repeated(file.images),
        "image whose file_name leads out of the folder of images": [
            image["id"] for image in file.images if leads_out(image["file_name"])
        ],
        "image whose width or height no picture has": [image["id"] for image in file.images if not _is_size(image)],
        "annotation id more than once": _repeated(annotations),
        "annotation of an unknown image": [a["id"] for a in annotations if a["image_id"] not in sides],
        "annotation of an unknown category": [a["id"] for a in annotations if a["category_id"] not in categories],
        "bbox that is not four numbers of the image's order": _select(ids, ~in_reach),
        "area that is not a number of the image's order": _select(ids, ~((areas >= 0) & (areas <= reach**2))),
    }
    if masks:
        problems["mask with points that are not numbers of the image's order"] = _select(ids, _bad_masks(file, reach))
    return {kind: numbers for kind, numbers in problems.items() if numbers}


def crowd_problems(file: CocoFile, crowd: str | None) -> dict[str, list[int]]:
    """What makes ``iscrowd`` implausible -> ids of annotations: other values than 0 and 1, or most of them are 1.

    COCO marks regions of uncounted objects in this way, and they are not trained on; some tools mark every mask so.

    Args:
        file: The contents of a split.
        crowd: See ``data.crowd``.
    """
    if crowd == "objects":
        return {}
    problems = {
        "iscrowd that is neither 0 nor 1 (with --data.crowd objects, all annotations are objects, whatever it is)": [
            a["id"] for a in file.annotations if not _is_flag(a.get("iscrowd", 0))
        ]
    }
    crowds = [a["id"] for a in file.annotations if _is_flag(a.get("iscrowd", 0)) and a.get("iscrowd", 0)]
    if crowd is None and len(crowds) * 2 > len(file.annotations):
        problems[
            f"iscrowd is 1 for {len(crowds)} of {len(file.annotations)} annotations, and crowd regions are not trained "
            "on (with --data.crowd objects, all annotations are objects; --data.crowd regions takes the file as it is)"
        ] = crowds
    return {kind: ids for kind, ids in problems.items() if ids}


def crowd_classes(counts: Counter[int], crowds: Counter[int], classes: list[str]) -> list[str]:
    """Names of the classes most of whose annotations are crowd regions, with the numbers of both."""
    return [
        f"{name} ({crowds[label]} of {counts[label]})"
        for label, name in enumerate(classes)
        if crowds[label] * 2 > counts[label]
    ]


def leads_out(name: str) -> bool:
    """Whether a file name, which may come from any system, is not a path within a folder."""
    paths = PurePosixPath(name), PureWindowsPath(name)
    if not name or "\0" in name or any(path.anchor or ".." in path.parts for path in paths):
        return True
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return True
    return False


def _is_flag(value: object) -> bool:
    return type(value) is int and value in (0, 1)


def _is_size(image: CocoImage) -> bool:
    width, height = image["width"], image["height"]
    return min(width, height) > 0 and max(width, height) <= _MAX_SIDE and width * height <= _MAX_PIXELS


def _repeated(items: Sequence[CocoImage | CocoAnnotation]) -> list[int]:
    return [number for number, count in Counter(item["id"] for item in items).items() if count > 1]


def _select(ids: list[int], bad: NDArray[np.bool_]) -> list[int]:
    return [ids[index] for index in np.flatnonzero(bad)]


def _numbers(rows: list[list[float]], width: int) -> NDArray[np.float64]:
    """Rows of ``width`` numbers (N, width); NaN where a row has others, or something else than numbers."""
    valid = [row if len(row) == width else [float("nan")] * width for row in rows]
    return _to_floats(list(chain.from_iterable(valid))).reshape(len(rows), width)


def _to_floats(values: list[float]) -> NDArray[np.float64]:
    """Values (N,); NaN for those that are not numbers of a float's range."""
    if set(map(type, values)) <= {int, float}:  # bool and text would be converted
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:
            pass
    return np.array([_to_float(value) for value in values], dtype=np.float64)


def _to_float(value: object) -> float:
    is_number = type(value) in (int, float) and -1e300 <= value <= 1e300  # type: ignore[operator]
    return float(value) if is_number else float("nan")  # type: ignore[arg-type]


def _bad_masks(file: CocoFile, reach: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the polygons of each annotation have a point beyond ``reach``."""
    largest = [
        _largest(annotation.get("segmentation") for annotation in file.annotations[start : start + _CHUNK])
        for start in range(0, len(file.annotations), _CHUNK)
    ]
    return ~(np.concatenate(largest) <= reach) if largest else np.zeros(0, bool)


def _largest(segmentations: Iterable[object]) -> NDArray[np.float64]:
    """The largest absolute coordinate of the polygons of each segmentation; 0 if it has none."""
    polygons = [
        [points for points in each if isinstance(points, list)] if isinstance(each, list) else []
        for each in segmentations
    ]
    counts = np.array([sum(map(len, each)) for each in polygons])
    values = np.abs(_to_floats(list(chain.from_iterable(chain.from_iterable(polygons)))))
    largest = np.zeros(len(polygons))
    if values.size:
        starts = (np.cumsum(counts) - counts)[counts > 0]
        largest[counts > 0] = np.maximum.reduceat(values, starts)
    return largest
