"""Random data sets survive the way from each format into each other one and back."""

import json
import random
from itertools import permutations

import pytest
from PIL import Image

from atmnet.conversion import convert
from atmnet.data.sources import open_split
from atmnet_cli.options import ConvertOptions, DataOptions

FORMAT_NAMES = ["coco", "yolo", "voc", "labelme", "cvat", "labelstudio"]
PAIRS = list(permutations(FORMAT_NAMES, 2))
FOLDERS = ["", "", "train/", "val/", "Ordner ä/", "データ/labels/", "a.b/c#d/"]
STEMS = [
    "x",
    "ü",
    "コーヒー",
    "a b",
    "100%25",
    "q?r=1&s",
    "c;d,e",
    "i'j\"k",
    "<l>",
    "m.n",
    "e\u0301",
    "0",
    "-1",
    "null",
]
CLASSES = ["cat", "Blüte", "コーヒー", "a, b; c|d", "<e> & 'f'", "yes", "1", "- g: #h", "10", "2", "{i}", "e\u0301té"]


def write_random(root, seed):
    """COCO's format: nested names, ids with gaps, pictures turned by EXIF or empty, boxes, polygons, two parts."""
    rng = random.Random(seed)
    classes = rng.sample(CLASSES, rng.randint(1, 5))
    categories = [
        {"id": number, "name": name} for number, name in zip(rng.sample(range(500), 5), classes, strict=False)
    ]
    for split in ("train", "val"):
        images, annotations = [], []
        names = {f"{rng.choice(FOLDERS)}{stem}{rng.choice(['.png', '.JPG', '.webp'])}" for stem in rng.sample(STEMS, 5)}
        for image_id, name in zip(rng.sample(range(10_000), 5), sorted(names), strict=True):
            width, height = rng.randint(16, 90), rng.randint(16, 90)
            turned, exif = rng.random() < 0.3, Image.Exif()
            exif[0x0112] = rng.choice([5, 6, 7, 8]) if turned else 1
            path = root / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (height, width) if turned else (width, height)).save(path, exif=exif)
            images.append({"id": image_id, "file_name": name, "width": width, "height": height})
            annotations += [
                {"image_id": image_id, "category_id": rng.choice(categories)["id"], **_shape(rng, width, height)}
                for _ in range(rng.choice([0, 1, 4]))
            ]
        # One object of each class for training, by which formats without a list of classes know it.
        if split == "train":
            annotations += [
                {"image_id": images[0]["id"], "category_id": category["id"], "bbox": [1, 2, 8, 9], "area": 72}
                for category in categories
            ]
        for number, item in zip(rng.sample(range(10_000), len(annotations)), annotations, strict=True):
            item |= {"id": number, "iscrowd": 0}
        path = root / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def _shape(rng, width, height):
    x0, y0 = rng.uniform(0, width - 12), rng.uniform(0, height - 12)
    x1, y1 = rng.uniform(x0 + 8, width), rng.uniform(y0 + 8, height)
    kind = rng.choice(["box", "polygon", "parts"])
    if kind == "box":
        return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": 50.0}
    if kind == "polygon":
        polygons = [[x0, y0, x1, y0, x1, y1, (x0 + x1) / 2, (y0 + y1) / 2]]
    else:  # along pixels, since a mask of pixels has their box
        x0, y0, x1, y1 = map(int, (x0, y0, x1, y1))
        polygons = [[x0, y0, x0 + 3, y0, x0 + 3, y1, x0, y1], [x1 - 3, y0, x1, y0, x1, y1, x1 - 3, y1]]
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": 50.0, "segmentation": polygons}


def contents(root, source):
    """Split and name of each picture -> its size, and the class and box of its objects in any order."""
    result, classes = {}, None
    for split in ("train", "val"):
        part = open_split(DataOptions(source, str(root)), split, "detection", classes)
        classes = part.classes
        names = [part.name(index) for index in range(len(part))]
        own = "images/" if all(name.startswith("images/") for name in names) else ""
        for index, name in enumerate(names):
            picture, target = part.load(index, "RGB")
            objects = sorted(
                (classes[label], *map(round, (10 * target.boxes[number]).tolist()), number)
                for number, label in enumerate(target.labels.tolist())
            )
            boxes = [target.boxes[number].tolist() for *_, number in objects]
            result[split, name.removeprefix(own)] = (picture.size, [item[0] for item in objects], boxes)
    return result


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for key, (size, names, boxes) in expected.items():
        assert actual[key][:2] == (size, names), key
        for box, expected_box in zip(actual[key][2], boxes, strict=True):
            assert box == pytest.approx(expected_box, abs=1e-3), key


def _check(tmp_path, first, second, seed):
    write_random(tmp_path / "in", seed)
    folders = [tmp_path / name for name in ("in", "first", "second", "back")]
    for source, target, root, output in zip(
        ("coco", first, second), (first, second, first), folders, folders[1:], strict=False
    ):
        convert(ConvertOptions(to=target, output=str(output), data=DataOptions(source, str(root))))
    expected = contents(tmp_path / "in", "coco")
    for folder, source in zip(folders[1:], (first, second, first), strict=True):
        assert_same(contents(folder, source), expected)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_there_and_back(tmp_path, first, second):
    _check(tmp_path, first, second, PAIRS.index((first, second)))


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_many_there_and_back(tmp_path, first, second):
    for seed in range(5):
        _check(tmp_path / str(seed), first, second, 100 + 5 * PAIRS.index((first, second)) + seed)
