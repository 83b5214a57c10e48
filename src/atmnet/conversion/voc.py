"""Pascal VOC's format: an XML file beside each picture, in ``SPLIT``."""

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from atmnet.conversion.objects import DataImage, DataPart, Losses


def write_voc(part: DataPart, root: Path, losses: Losses) -> Path:
    """Write a split; returns the folder for the pictures. Coordinates count from 1 and include the last pixel."""
    for image in part.images:
        path = root / part.split / f"{image.stem}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        tree = ElementTree(_annotation(image, part, losses))
        indent(tree)
        tree.write(path, encoding="utf-8", xml_declaration=True)
    return root / part.split


def _annotation(image: DataImage, part: DataPart, losses: Losses) -> Element:
    root = Element("annotation")
    SubElement(root, "folder").text = part.split
    SubElement(root, "filename").text = image.name.rpartition("/")[2]
    size = SubElement(root, "size")
    for name, value in (("width", image.width), ("height", image.height), ("depth", 3)):
        SubElement(size, name).text = str(value)
    for item in image.objects:
        losses.add("masks become boxes", bool(item.segmentation))
        element = SubElement(root, "object")
        SubElement(element, "name").text = part.classes[item.label]
        SubElement(element, "difficult").text = str(int(item.crowd))
        box = SubElement(element, "bndbox")
        x0, y0, x1, y1 = item.box
        for name, coordinate in (("xmin", x0 + 1), ("ymin", y0 + 1), ("xmax", x1), ("ymax", y1)):
            SubElement(box, name).text = f"{coordinate:.9g}"
    return root
