"""CVAT's format for images 1.1: ``SPLIT/annotations.xml``, and pictures in ``SPLIT/images``."""

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from atmnet.conversion.objects import BOX_OF_MASK, DataImage, DataObject, DataPart, Losses
from atmnet.data.masks import decode_mask


def write_cvat(part: DataPart, root: Path, losses: Losses) -> Path:
    """Write a split; returns the folder for the pictures. Masks that are not one polygon become masks of pixels."""
    folder = root / part.split
    folder.mkdir(parents=True)
    content = Element("annotations")
    SubElement(content, "version").text = "1.1"
    task = SubElement(SubElement(content, "meta"), "task")
    SubElement(task, "subset").text = part.split
    labels = SubElement(task, "labels")
    for name in part.classes:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "type").text = "any"
    for number, image in enumerate(part.images):
        size = {"width": str(image.width), "height": str(image.height)}
        element = SubElement(content, "image", {"id": str(number), "name": image.name, "subset": part.split, **size})
        for item in image.objects:
            losses.add(BOX_OF_MASK, item.has_other_box)
            _add_shape(element, image, item, part.classes[item.label])
    indent(content)
    ElementTree(content).write(folder / "annotations.xml", encoding="utf-8", xml_declaration=True)
    return folder / "images"


def _add_shape(element: Element, image: DataImage, item: DataObject, label: str) -> None:
    common = {"label": label, "source": "manual", "occluded": "0", "z_order": "0"}
    x0, y0, x1, y1 = (f"{value:.9g}" for value in item.box)
    if not item.segmentation:
        SubElement(element, "box", {**common, "xtl": x0, "ytl": y0, "xbr": x1, "ybr": y1})
    elif isinstance(item.segmentation, list) and len(item.polygons) == 1:
        points = item.polygons[0]
        pairs = zip(points[::2], points[1::2], strict=True)
        SubElement(element, "polygon", {**common, "points": ";".join(f"{x:.9g},{y:.9g}" for x, y in pairs)})
    else:
        mask = decode_mask(item.segmentation, image.height, image.width).astype(bool)
        if not mask.any():
            return
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left, height, width = rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        flat = mask[top : top + height, left : left + width].ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        runs = np.diff(changes, prepend=0, append=flat.size).tolist()
        text = ", ".join(map(str, [0, *runs] if flat[0] else runs))  # the first run is of zeros
        place = {"left": left, "top": top, "width": width, "height": height}
        SubElement(element, "mask", {**common, "rle": text, **{name: str(value) for name, value in place.items()}})
