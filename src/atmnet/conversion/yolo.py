"""YOLO's format: data.yaml, ``images/SPLIT``, and a text file for each picture in ``labels/SPLIT``."""

from pathlib import Path

from atmnet.conversion.objects import BOX_OF_MASK, DataImage, DataPart, Losses


def write_yolo(part: DataPart, root: Path, losses: Losses) -> Path:
    """Write a split; returns the folder for the pictures. Objects with a mask become polygons, the others boxes."""
    labels = root / "labels" / part.split
    labels.mkdir(parents=True)
    for image in part.images:
        path = labels / f"{image.stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = _lines(image, losses)
        if len(set(lines)) < len(lines):
            losses.add("lines that occur twice, which readers drop", len(lines) - len(set(lines)))
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    import yaml

    # JSON's form of strings is YAML's, too, whatever the names are.
    content = {"train": "images/train", "val": "images/val", "names": dict(enumerate(part.classes))}
    (root / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return root / "images" / part.split


def _lines(image: DataImage, losses: Losses) -> list[str]:
    lines = []
    sides = image.width, image.height
    for item in image.objects:
        if len(item.polygons) > 1:
            losses.add("masks in several parts become boxes")
        if len(item.polygons) == 1:
            losses.add(BOX_OF_MASK, item.has_other_box)
            values = [value / sides[i % 2] for i, value in enumerate(item.polygons[0])]
        else:
            x0, y0, x1, y1 = item.box
            values = [
                (x0 + x1) / 2 / image.width, (y0 + y1) / 2 / image.height,
                (x1 - x0) / image.width, (y1 - y0) / image.height,
            ]  # fmt: skip
        lines.append(" ".join([str(item.label), *(f"{value:.9g}" for value in values)]))
    return lines
