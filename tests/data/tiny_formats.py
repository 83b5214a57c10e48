"""One tiny data set in every format of annotations, with oddities of the tools that write them.

The pictures are `a 1.png` (a box and a polygon), `b.png` (a box of class `dog`), and `c.png` without objects.
"""

import json
from pathlib import Path

from tests.data.tiny_dense import SIZE, write_picture

#: Classes, and for each picture its objects: class, x0 y0 x1 y1, and a polygon or None.
CLASSES = ["cat", "dog", "bird"]
OBJECTS: dict[str, list[tuple[str, tuple[int, int, int, int], list[int] | None]]] = {
    "a 1": [("cat", (3, 2, 12, 10), None), ("bird", (10, 4, 22, 16), [10, 4, 22, 4, 22, 16, 10, 16])],
    "b": [("dog", (0, 0, 30, 20), None)],
    "c": [],
}


def write_pictures(folder: Path) -> None:
    for number, stem in enumerate(OBJECTS):
        write_picture(folder / f"{stem}.png", seed=number)


def write_yolo(root: Path, layout: str = "roboflow") -> Path:
    """'roboflow' writes data.yaml with paths of its own; 'folders' has classes.txt in place of data.yaml."""
    height, width = SIZE
    for split in ("train", "valid") if layout == "roboflow" else ("train", "val"):
        parts = (split, "{}") if layout == "roboflow" else ("{}", split)
        images, labels = (root.joinpath(*(part.format(name) for part in parts)) for name in ("images", "labels"))
        write_pictures(images)
        labels.mkdir(parents=True)
        for stem, objects in OBJECTS.items():
            lines = []
            for name, (x0, y0, x1, y1), polygon in objects:
                if polygon:
                    values = [v / (height if i % 2 else width) for i, v in enumerate(polygon)]
                else:
                    values = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
                lines.append(f"{CLASSES.index(name)} {' '.join(map(repr, values))}")
            if stem != "c":  # a picture without objects may have no file
                (labels / f"{stem}.txt").write_text("\ufeff" + "\r\n".join([*lines, lines[-1], ""]), encoding="utf-8")
    if layout == "roboflow":
        (root / "data.yaml").write_text(
            "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 3\n"
            "names: ['cat', 'dog', 'bird']\nroboflow:\n  workspace: w\n"
        )
    else:
        (root / "classes.txt").write_text("\n".join(CLASSES))
    return root


def write_voc(root: Path, layout: str = "devkit") -> Path:
    """'devkit' is Pascal VOC's own layout; 'beside' has XML files beside the pictures. Neither has polygons."""
    for split in ("train", "val") if layout == "devkit" else ("train", "valid"):
        images = root / "JPEGImages" if layout == "devkit" else root / split
        notes = root / "Annotations" if layout == "devkit" else images
        write_pictures(images)
        notes.mkdir(parents=True, exist_ok=True)
        for stem, objects in OBJECTS.items():
            text = "".join(
                f"<object><name>{name}</name><pose>Left</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
                f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
                for name, (x0, y0, x1, y1), _ in objects
            )
            (notes / f"{stem}.xml").write_text(
                '<?xml version="1.0" encoding="utf-8"?>\n<annotation verified="yes"><folder>x</folder>'
                f"<filename>C:\\photos\\{stem}.png</filename><path>C:\\photos\\{stem}.png</path>"
                f"<size><width>0</width><height>0</height><depth>3</depth></size>{text}</annotation>",
                encoding="utf-8",
            )
        if layout == "devkit":
            (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("b\na 1.png\nc\n".replace("a 1.png", "a_1"))
            for folder, ending in ((images, "png"), (notes, "xml")):
                (folder / f"a 1.{ending}").replace(folder / f"a_1.{ending}")
    return root


def write_labelme(root: Path, layout: str = "splits") -> Path:
    """JSON files beside the pictures, with a BOM, paths of Windows, a line, and an object in two parts of one group."""
    for split in ("train", "valid") if layout == "splits" else ("",):
        write_pictures(root / split)
        for stem, objects in OBJECTS.items():
            shapes: list[dict[str, object]] = [{"label": "edge", "shape_type": "line", "points": [[0, 0], [3, 3]]}]
            for number, (name, (x0, y0, x1, y1), polygon) in enumerate(objects):
                middle = (x0 + x1) // 2
                if polygon:
                    pairs = list(zip(polygon[::2], polygon[1::2], strict=True))
                    shapes.append({"label": name, "shape_type": "polygon", "points": pairs, "group_id": None})
                else:
                    shapes += [
                        {"label": name, "shape_type": "rectangle", "points": points, "group_id": number}
                        for points in ([[x0, y0], [middle, y1]], [[x1, y1], [middle, y0]])
                    ]
            content: dict[str, object] = {
                "version": "5.5",
                "flags": {},
                "shapes": shapes,
                "imagePath": f"..\\x\\{stem}.png",
                "imageData": None,
            }
            (root / split / f"{stem}.json").write_text(json.dumps(content), encoding="utf-8-sig")
    return root


def write_cvat(root: Path, layout: str = "project") -> Path:
    """'project' is one file with subsets; 'tasks' one file per split, with masks, names of Windows and other shapes."""
    height, width = SIZE
    labels = "".join(f"<label><name>{name}</name><type>any</type></label>" for name in CLASSES)
    labels += "<label><name>limb</name><parent>body</parent></label>"
    images: dict[str, str] = {}
    for subset, split in (("Train", "train"), ("Validation", "val")):
        folder = root / "images" / subset if layout == "project" else root / split / "images" / "x"
        write_pictures(folder)
        for number, (stem, objects) in enumerate(OBJECTS.items()):
            text = '<polyline label="edge" points="0,0;3,3"/><tag label="cat"/>'
            text += '<box label="cat" outside="1" xtl="0" ytl="0" xbr="9" ybr="9"/>'
            for name, (x0, y0, x1, y1), polygon in objects:
                common = f'label="{name}" source="manual" occluded="0" z_order="0"'
                if polygon:
                    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(polygon[::2], polygon[1::2], strict=True))
                    text += f'<polygon {common} points="{points}"><attribute name="a">b</attribute></polygon>'
                elif layout == "tasks":
                    w, h = x1 - x0, y1 - y0
                    text += f'<mask {common} rle="0, {w * h}" left="{x0}" top="{y0}" width="{w}" height="{h}"/>'
                else:
                    text += f'<box {common} xtl="{x0}.00" ytl="{y0}.00" xbr="{x1}.00" ybr="{y1}.00"/>'
            place = f'name="{stem}.png" subset="{subset}"' if layout == "project" else f'name="x\\{stem}.png"'
            images[split] = images.get(split, "") + (
                f'<image id="{number}" {place} width="{width}" height="{height}">{text}</image>'
            )
    parts = {"": "".join(images.values())} if layout == "project" else images
    for split, text in parts.items():
        (root / split / "annotations.xml").write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><project><labels>'
            f"{labels}</labels></project></meta>{text}</annotations>",
            encoding="utf-8",
        )
    return root


def write_labelstudio(root: Path, layout: str = "json") -> Path:
    """'json' has a cancelled and a second annotation, and a task without; 'min' has addresses of local files."""
    height, width = SIZE
    for split in ("train", "val"):
        write_pictures(root / split / "images")
        tasks: list[dict[str, object]] = []
        for number, (stem, objects) in enumerate(OBJECTS.items()):
            regions: list[dict[str, object]] = []
            for name, (x0, y0, x1, y1), polygon in objects:
                value: dict[str, object]
                if polygon:
                    pairs = zip(polygon[::2], polygon[1::2], strict=True)
                    points = [[100 * x / width, 100 * y / height] for x, y in pairs]
                    value = {"points": points, "closed": True, "polygonlabels": [name]}
                else:
                    value = {
                        "x": 100 * x0 / width, "y": 100 * y0 / height, "width": 100 * (x1 - x0) / width,
                        "height": 100 * (y1 - y0) / height, "rotation": 0, "rectanglelabels": [name],
                    }  # fmt: skip
                size = {"original_width": width, "original_height": height}
                whole = {**size, "image_rotation": 0, "type": "labels", "value": value}
                regions.append(whole if layout == "json" else {**value, **size})
            if layout == "json":
                cancelled = {"was_cancelled": True, "result": [{"value": {"brushlabels": ["x"]}}]}
                annotations = [cancelled, {"was_cancelled": False, "result": regions}, {"result": []}]
                address = f"/data/upload/1/1a2b3c4d-{stem.replace(' ', '_')}.png"
                tasks.append({"id": number, "data": {"text": "t", "image": address}, "annotations": annotations})
            else:
                address = f"/data/local-files/?d=photos%2Fimages%2F{stem.replace(' ', '%20')}.png"
                tasks += [{"image": address, "id": number, "annotator": 1, "label": part} for part in (regions, [])]
        if layout == "json":
            tasks.append({"id": 9, "data": {"image": "/data/upload/1/1a2b3c4d-b.png"}, "annotations": []})
        (root / split / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    return root


#: Name of a case -> its source, and what writes it.
FORMATS = {
    "yolo, data.yaml": ("yolo", write_yolo),
    "yolo, folders": ("yolo", lambda root: write_yolo(root, "folders")),
    "voc, devkit": ("voc", write_voc),
    "labelme": ("labelme", write_labelme),
    "voc, beside": ("voc", lambda root: write_voc(root, "beside")),
    "labelstudio, JSON": ("labelstudio", write_labelstudio),
    "labelstudio, JSON-MIN": ("labelstudio", lambda root: write_labelstudio(root, "min")),
    "cvat, project": ("cvat", write_cvat),
    "cvat, tasks": ("cvat", lambda root: write_cvat(root, "tasks")),
}
