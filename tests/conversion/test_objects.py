"""Boxes and masks survive the way from each format into each other one, and back."""

import json

import numpy as np
import pytest
import torch
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from atmnet.conversion import convert
from atmnet.data.masks import decode_mask
from atmnet.data.outlines import mask_outlines, polygon_area
from atmnet.data.sources import open_split
from atmnet_cli import command
from atmnet_cli.errors import UserError
from atmnet_cli.options import ConvertOptions, DataOptions
from tests.data.tiny_dense import coco_content, write_coco, write_picture
from tests.data.tiny_formats import FORMATS

FORMAT_NAMES = ["coco", "yolo", "voc", "labelme", "cvat", "labelstudio"]
#: Formats that have no masks; that keep masks in several parts only as boxes; and that have no crowd regions.
NO_MASKS, ONE_PART, NO_CROWD = {"voc"}, {"yolo", "labelstudio"}, set(FORMAT_NAMES) - {"coco", "voc"}
CLASSES = ["Blüte", "コーヒー", "a, b <c> & 'd'"]


def rich(root):
    """Nested names with spaces, an upright and a turned picture, ids with gaps, every kind of mask, no objects."""
    for split, shift in (("train", 0), ("val", 1)):
        folder = root / split
        names = {7: "ordner/ä b.png", 300: "turned.jpg", 9: "empty.png"}
        for number, name in names.items():
            write_picture(folder / name, (40, 60), seed=number)
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by 90 degrees: 40 x 60 when upright
        Image.new("RGB", (60, 40), "red").save(folder / "turned.jpg", exif=exif)
        two_parts = [[2, 2, 12, 2, 12, 9, 2, 9], [20, 20, 30, 20, 30, 31]]
        blob = np.zeros((40, 60), np.uint8)
        blob[5:15, 30:45] = 1
        runs = coco_mask.encode(np.asfortranarray(blob))
        objects = [
            (7, 900, [3.25, 4.5, 20, 11.125], None, 0),
            (7, 2, [2, 2, 28, 29], two_parts, 0),
            (7, 40, [30, 5, 15, 10], {"size": [40, 60], "counts": runs["counts"].decode()}, 0),
            (7, 40, [0, 30, 9, 9], [[0, 30, 9, 30, 9, 39, 0, 39]], 1),
            (300, 2, [1 + shift, 2, 30, 50], [[1 + shift, 2, 31 + shift, 2, 31 + shift, 52, 1 + shift, 52]], 0),
        ]
        content = {
            "info": {"year": 2026},
            "images": [
                {"id": n, "file_name": name, "width": 40 if n == 300 else 60, "height": 60 if n == 300 else 40}
                for n, name in names.items()
            ],
            "annotations": [
                {"id": i, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3],
                 "iscrowd": crowd, **({"segmentation": segmentation} if segmentation else {})}
                for i, (image, category, box, segmentation, crowd) in enumerate(objects, 5)
            ],
            "categories": [{"id": n, "name": name} for n, name in zip((2, 40, 900), CLASSES, strict=True)],
        }  # fmt: skip
        (root / "annotations").mkdir(exist_ok=True)
        path = root / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8-sig")
    return root


def to(root, source, target, output, **changes):
    return convert(ConvertOptions(to=target, output=str(output), data=DataOptions(source, str(root)), **changes))


def opened(root, source, split="train"):
    """Name of each picture -> its objects in order of class and box: class, box, mask, crowd."""
    part = open_split(DataOptions(source, str(root)), split, "detection")
    result = {}
    for index in range(len(part)):
        _, target = part.load(index, "RGB")
        objects = zip(target.labels.tolist(), target.boxes, target.masks, target.crowd.tolist(), strict=True)
        named = [(part.classes[label], box, mask, crowd) for label, box, mask, crowd in objects]
        result[part.name(index).removeprefix("images/")] = sorted(named, key=lambda item: (item[0], item[1].tolist()))
    return result


def assert_alike(actual, expected, masks=True, one_part=False, crowds=True):
    """Masks in several parts may have their box from their pixels, up to one pixel apart from that of their outline."""
    assert actual.keys() == expected.keys()
    for name, objects in expected.items():
        kept = [item for item in objects if crowds or not item[3]]
        assert [item[0] for item in actual[name]] == [item[0] for item in kept]
        for (_, box, mask, crowd), (_, expected_box, expected_mask, expected_crowd) in zip(
            actual[name], kept, strict=True
        ):
            torch.testing.assert_close(
                box, expected_box, rtol=0, atol=1 if _parts(expected_mask) > 1 else 1e-4, msg=name
            )
            assert crowd == expected_crowd
            # LabelMe's rectangles are masks, whose fractions of pixels are rounded in another way than a box's.
            if masks and not (one_part and _parts(expected_mask) > 1) and box.equal(box.round()):
                assert mask.equal(expected_mask), (name, box)


def _parts(mask):
    return len(mask_outlines(mask.numpy())[0])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return rich(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def written(root, tmp_path_factory):
    """The rich data set in every format."""
    folder = tmp_path_factory.mktemp("formats")
    return {name: (folder / name, to(root, "coco", name, folder / name)) for name in FORMAT_NAMES}


@pytest.mark.parametrize("name", FORMAT_NAMES)
@pytest.mark.parametrize("split", ["train", "val"])
def test_every_format_holds_what_it_can(root, written, name, split):
    assert_alike(
        opened(written[name][0], name, split), opened(root, "coco", split),
        name not in NO_MASKS, name in ONE_PART, name not in NO_CROWD,
    )  # fmt: skip


@pytest.mark.parametrize("first", FORMAT_NAMES)
@pytest.mark.parametrize("second", FORMAT_NAMES)
def test_there_and_back(written, tmp_path, first, second):
    there, back = tmp_path / "there", tmp_path / "back"
    to(written[first][0], first, second, there)
    to(there, second, first, back)
    limits = {first, second}
    assert_alike(
        opened(back, first), opened(written[first][0], first),
        not limits & NO_MASKS, bool(limits & ONE_PART), not limits & NO_CROWD,
    )  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("target", FORMAT_NAMES)
def test_exports_of_tools(tmp_path, name, target):
    source, write = FORMATS[name]
    write(tmp_path / "in")
    to(tmp_path / "in", "auto", target, tmp_path / "out")
    expected, actual = opened(tmp_path / "in", source), opened(tmp_path / "out", target)
    assert_alike(actual, expected, masks=target not in NO_MASKS, one_part=target in ONE_PART)


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_the_format_is_recognised_and_has_no_path_of_this_machine(written, name):
    folder = written[name][0]
    assert len(open_split(DataOptions(root=str(folder)), "train", "detection")) == 3
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".xml", ".txt", ".yaml"):
            assert str(folder.parent) not in path.read_text(encoding="utf-8")


def test_what_is_lost_is_said(written):
    assert "note: masks become boxes: 10 objects" not in written["coco"][1]
    assert "note: masks become boxes: 8 objects" in written["voc"][1]
    assert "note: crowd regions are left out: 2 objects" in written["yolo"][1]
    assert "note: masks in several parts become boxes: 2 objects" in written["labelstudio"][1]
    assert written["coco"][1] == ["train: 3 images, 5 objects of 3 classes", "val: 3 images, 5 objects of 3 classes"]


def test_the_order_of_classes_is_kept_by_the_file_beside_them(written):
    for name in ("voc", "labelme", "labelstudio"):
        data = DataOptions(name, str(written[name][0]), classes=str(written[name][0] / "classes.txt"))
        assert open_split(data, "train", "detection").classes == CLASSES
    for name in ("coco", "yolo", "cvat"):
        assert open_split(DataOptions(name, str(written[name][0])), "train", "detection").classes == CLASSES


def test_links(root, tmp_path):
    to(root, "coco", "yolo", tmp_path / "out", images="link")
    assert (tmp_path / "out/images/train/turned.jpg").samefile(root / "train/turned.jpg")


def test_data_without_splits_are_divided(tmp_path):
    for number in range(10):
        write_picture(tmp_path / "in" / f"{number}x.png", seed=number)
        shapes = [{"label": "cat", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}]
        (tmp_path / "in" / f"{number}x.json").write_text(json.dumps({"shapes": shapes}))
    to(tmp_path / "in", "labelme", "coco", tmp_path / "out")
    parts = [opened(tmp_path / "out", "coco", split) for split in ("train", "val")]
    assert [len(part) for part in parts] == [8, 2]
    assert not parts[0].keys() & parts[1].keys()


def test_outlines_are_exact():
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width = rng.integers(1, 20, 2)
        mask = rng.random((height, width)) < rng.choice([0.2, 0.5, 0.9])
        parts, holes = mask_outlines(mask)
        assert sum(map(polygon_area, parts)) - sum(map(polygon_area, holes)) == mask.sum()
        if parts and not holes:
            assert (decode_mask(parts, height, width) == mask).all()


def test_holes_are_filled_and_said(tmp_path):
    content = coco_content()
    ring = np.zeros((20, 30), np.uint8, order="F")
    ring[2:12, 2:12] = 1
    ring[5:8, 5:8] = 0
    runs = coco_mask.encode(ring)
    content["annotations"][0]["segmentation"] = {"size": [20, 30], "counts": runs["counts"].decode()}
    for split in ("train", "val"):
        write_coco(tmp_path / "in", content, split)
    assert "note: holes in masks are filled: 2 objects" in to(tmp_path / "in", "coco", "labelme", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content["images"][0].update(file_name="31.png"), "31.png: no such image"),
        (lambda content: content["images"][0].update(file_name="10.png"), "would share a file, the first 10.png"),
    ],
)
def test_refusals_leave_nothing(tmp_path, change, reason):
    content = coco_content()
    change(content)
    for split in ("train", "val"):
        write_coco(tmp_path / "in", content, split)
        write_picture(tmp_path / "in" / "30.png")
    with pytest.raises(UserError, match=reason):
        to(tmp_path / "in", "coco", "yolo", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_one_stem_with_two_endings(tmp_path):
    content = coco_content()
    content["images"][0]["file_name"] = "10.jpg"
    for split in ("train", "val"):
        write_coco(tmp_path / "in", content, split)
        write_picture(tmp_path / "in" / split / "10.jpg")
    with pytest.raises(UserError, match=r"2 images .*|1 images of split train would share a file, the first 10"):
        to(tmp_path / "in", "coco", "voc", tmp_path / "out")
    to(tmp_path / "in", "coco", "cvat", tmp_path / "out")


def test_the_command(root, tmp_path, capsys):
    arguments = ["convert", "--data.root", str(root), "--output", str(tmp_path / "out")]
    assert command.main([*arguments, "--to", "yolo"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("data.source: coco, from annotations/instances_train.json\ntrain: 3 images, 5 objects")
    assert f"--data.source yolo --data.root {tmp_path / 'out'}" in out
    assert command.main([*arguments, "--to", "yolo"]) == 2
    assert "is not empty; expected a new or empty folder" in capsys.readouterr().err
    assert command.main([*arguments[:3], "--output", str(tmp_path / "b"), "--to", "folder", "--data.source=coco"]) == 2
    assert "folder is for labels of whole images, and coco has detection" in capsys.readouterr().err
    assert command.main([*arguments, "--to", "tfrecord"]) == 2
