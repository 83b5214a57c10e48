"""Boxes in Pascal VOC's format: one XML file for each picture.

Coordinates count pixels from 1 and include the last pixel, so that a box covers xmin - 1 to xmax in COCO's coordinates.
"""

from pathlib import Path

from atmnet.data.annotations import (
    Annotations,
    find_folder,
    is_finite,
    picture_size,
    pictures_by_stem,
    portable_name,
)
from atmnet.data.class_names import read_lines
from atmnet.data.coco_file import CocoFile
from atmnet.data.listing import natural_key
from atmnet.data.own_split import own_part_of
from atmnet.data.xml_file import numbers_of, read_xml, text_of
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

_MAX_BYTES = 16 * 2**20
_FARTHEST = 1e6


def read_voc(options: DataOptions, split: str, classes: list[str] | None = None) -> CocoFile:
    """Read a split. Objects marked as difficult become crowd regions: not trained on, and ignored in evaluation.

    Args:
        options: ``root`` contains ``Annotations``, ``JPEGImages`` and ``ImageSets/Main/SPLIT.txt``; or a folder
            ``SPLIT`` with pictures and XML files side by side. Without ``ImageSets``, the pictures are divided, see
            :mod:`atmnet.data.own_split`.
        split: The name of the list or folder.
        classes: Class names of the training split. Default: the names of the objects, in natural order.

    Raises:
        UserError: If the split is missing, or a file is not in VOC's format.
    """
    root = Path(options.root)
    if not options.root or not root.is_dir():
        raise UserError(f"data.root: got {options.root!r}, expected the folder of data in Pascal VOC's format")
    image_set = root / "ImageSets" / "Main" / f"{split}.txt"
    is_undivided = not image_set.parent.exists() and (root / "Annotations").is_dir()
    if is_undivided:
        folder, path = root / "JPEGImages", root / "Annotations"
        files = sorted(path.rglob("*.xml"), key=lambda file: natural_key(file.name))
    elif image_set.is_file():
        folder, path = root / "JPEGImages", image_set
        # Lists of one class have a second column; those of a split do not.
        files = [root / "Annotations" / f"{line.split()[0]}.xml" for line in read_lines(image_set)]
    else:
        found = find_folder(root, split, ("{}",))
        if found is None:
            raise UserError(
                f"{root}: no split {split!r}; expected ImageSets/Main/{split}.txt, or a folder {split} of images and "
                "XML files (see data.train, data.val)"
            )
        folder = path = found
        files = sorted(folder.rglob("*.xml"), key=lambda file: natural_key(str(file.relative_to(folder))))
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected the images of {path}")
    pictures = pictures_by_stem(folder)
    names = {portable_name(stem): name for stem, name in pictures.items()}
    result = Annotations(path, folder)
    for file in files:
        beside = file.with_suffix("").relative_to(folder).as_posix() if file.is_relative_to(folder) else file.stem
        _add_file(result, file, pictures.get(beside) or names.get(file.stem), names)
    coco = result.to_coco(classes)
    return own_part_of(coco, options, split) if is_undivided else coco


def _add_file(result: Annotations, file: Path, picture: str | None, names: dict[str, str]) -> None:
    root = read_xml(file, _MAX_BYTES)
    if root.tag != "annotation":
        raise UserError(f"{file}: got <{root.tag[:40]}>, expected <annotation>, as Pascal VOC has it")
    written = portable_name(text_of(root, "filename"))
    name = picture or names.get(Path(written).stem) or written
    if not name:
        raise UserError(f"{file}: no image of this name, and no <filename>; expected one of them")
    # Tools write 0 0 where they do not know the size, and some write that before a rotation by EXIF.
    size = picture_size(result.folder / name)
    image = result.add_image(name, size, file)
    if size is None:
        return
    for element in root.iter("object"):
        box, label = element.find("bndbox"), text_of(element, "name")
        if box is None or not label:
            raise UserError(f"{file}: an object lacks <name> or <bndbox>")
        xmin, ymin, xmax, ymax = numbers_of(box, ("xmin", "ymin", "xmax", "ymax"), str(file))
        if not is_finite((xmin, ymin, xmax, ymax), -_FARTHEST, _FARTHEST):
            raise UserError(f"{file}: {label[:40]!r}: expected coordinates in pixels of the image")
        # Tools that count from 0 write 0 for the first pixel.
        corners = (max(xmin - 1, 0), max(ymin - 1, 0), xmax, ymax)
        result.add_box(image, label, corners, crowd=text_of(element, "difficult") == "1")
