"""Every format of annotations gives the same boxes, masks and classes, and wrong files are refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from atmnet.data.sources import SOURCES, open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import SIZE
from tests.data.tiny_formats import (
    CLASSES,
    FORMATS,
    OBJECTS,
    write_cvat,
    write_labelme,
    write_labelstudio,
    write_voc,
    write_yolo,
)

pytestmark = pytest.mark.dense
pytest.importorskip("faster_coco_eval")


def box_mask(x0, y0, x1, y1):
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize("case", FORMATS)
def test_boxes_masks_and_classes_are_the_same_in_every_format(case, tmp_path):
    source, write = FORMATS[case]
    options = DataOptions(source=source, root=str(write(tmp_path)))
    train = open_split(options, "train", "detection")
    assert sorted(train.classes) == sorted(CLASSES)
    val = open_split(options, "val", "detection", train.classes)
    for split in (train, val):
        assert [Path(split.name(index)).name.replace("_", " ") for index in range(len(split))] == (
            ["b.png", "a 1.png", "c.png"] if case == "voc, devkit" else ["a 1.png", "b.png", "c.png"]
        )
        for index in range(len(split)):
            image, target = split.load(index, "RGB")
            objects = OBJECTS[Path(split.name(index)).stem.replace("_", " ")]
            assert image.size == SIZE[::-1]
            assert [split.classes[label] for label in target.labels] == [name for name, _, _ in objects]
            boxes = torch.tensor([box for _, box, _ in objects]).reshape(-1, 4).float()
            torch.testing.assert_close(target.boxes, boxes, atol=1e-4, rtol=0)
            masks = np.array([box_mask(*box) for _, box, _ in objects]).reshape(-1, *SIZE)
            assert np.array_equal(target.masks.numpy(), masks)
            assert not target.crowd.any()


@pytest.mark.parametrize("case", FORMATS)
def test_check_data_reads_every_format(case, tmp_path):
    source, write = FORMATS[case]
    options = DataOptions(source=source, root=str(write(tmp_path)))
    check = SOURCES[source].check(options, "train", None)
    assert not check.errors
    assert [Path(name).name for name in check.notes["image without objects"]] == ["c.png"]
    assert sum(check.labels.values()) == 3


@pytest.mark.parametrize("case", FORMATS)
def test_an_inventory_notices_a_changed_annotation(case, tmp_path):
    source, write = FORMATS[case]
    options = DataOptions(source=source, root=str(write(tmp_path)))
    before = open_split(options, "train", "detection").inventory()
    files = [
        path
        for path in tmp_path.rglob("*")
        if path.suffix in (".txt", ".xml", ".json") and path.stem in ("b", "annotations", "tasks")
    ]
    for path in files:
        text = path.read_text(encoding="utf-8")
        path.write_text(
            text.replace("1.0", "0.9")
            .replace("<ymax>20", "<ymax>19")
            .replace("[30, 20]", "[30, 19]")
            .replace('ybr="20', 'ybr="19')
            .replace('"x": 0.0', '"x": 1.0'),
            encoding="utf-8",
        )
    after = open_split(options, "train", "detection").inventory()
    assert before.names == after.names
    assert before.facts != after.facts


def test_a_polygon_is_more_than_its_box(tmp_path):
    """A triangle, in YOLO's and LabelMe's formats: half of its box, with the area that it has."""
    write_yolo(tmp_path / "yolo")
    (tmp_path / "yolo" / "train" / "labels" / "b.txt").write_text("1 0 0 1 0 0 1")
    write_labelme(tmp_path / "labelme")
    height, width = SIZE
    shape = {"label": "dog", "points": [[0, 0], [width, 0], [0, height]]}
    (tmp_path / "labelme" / "train" / "b.json").write_text(json.dumps({"shapes": [shape], "imagePath": "b.png"}))
    for source in ("yolo", "labelme"):
        split = open_split(DataOptions(source=source, root=str(tmp_path / source)), "train", "detection")
        _, target = split.load(1, "RGB")
        assert target.boxes.tolist() == [[0, 0, width, height]]
        assert target.area.tolist() == [width * height / 2]
        assert 0.45 < target.masks.float().mean() < 0.55
        assert target.masks[0, 0, 0]
        assert not target.masks[0, -1, -1]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"label": "a"}, "shapes: expected a list"),
        ([5], "got 5, expected an object"),
        ([{"points": []}], "label is missing"),
        ([{"label": "a", "points": [[0, 1], [2, 3]]}], "a 'polygon' of 2 points, expected a polygon of at least 3"),
        ([{"label": "a", "points": [[0, 1], [2, float("nan")], [1, 1]]}], "not valid JSON: NaN"),
        ([{"label": "a", "points": [[0, 1], [2, 10**400], [1, 1]]}], "expected a list of pairs of numbers in pixels"),
        ([{"label": "a", "points": [[0, 1], [2, 1e300], [1, 1]]}], "expected a list of pairs of numbers in pixels"),
        ([{"label": "a", "shape_type": "mask", "points": [[0, 1], [2, 3]]}], "a 'mask' of 2 points"),
    ],
)
def test_a_wrong_shape_of_labelme_is_named(shapes, message, tmp_path):
    write_labelme(tmp_path)
    (tmp_path / "train" / "b.json").write_text(json.dumps({"shapes": shapes, "imagePath": "b.png"}))
    with pytest.raises(UserError, match=rf"b\.json: .*{message}"):
        open_split(DataOptions(source="labelme", root=str(tmp_path)), "train", "detection")


@pytest.mark.parametrize("yaml", ["train: ../outside", "path: /\ntrain: tmp", "path: ..\ntrain: outside"])
def test_a_path_that_leads_out_of_the_folder_is_refused(yaml, tmp_path):
    (tmp_path / "outside").mkdir()
    write_yolo(tmp_path / "inside")
    (tmp_path / "inside" / "data.yaml").write_text(f"{yaml}\nnames: [a, b, c]")
    with pytest.raises(UserError, match=r"data\.root must contain all images and labels"):
        open_split(DataOptions(source="yolo", root=str(tmp_path / "inside")), "train", "detection")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3 .5 .5 .1 .1", "class 3, expected an integer from 0 to 2"),
        ("0.5 .5 .5 .1 .1", "class 0.5, expected an integer"),
        ("nan .5 .5 .1 .1", "class nan, expected an integer"),
        ("0 nan .5 .1 .1", "expected coordinates from 0 to 1"),
        ("0 15 10 8 6", "expected coordinates from 0 to 1"),
        ("0 .5 .5 .1", "4 numbers, expected CLASS x y w h"),
        ("0 .5 .5 .1 .1 .9", "6 numbers, expected CLASS x y w h"),
        ("cat .5 .5 .1 .1", "could not convert"),
    ],
)
def test_a_wrong_line_of_yolo_is_named(line, message, tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "train" / "labels" / "b.txt").write_text(f"\n0 .5 .5 .1 .1\n{line}\n")
    with pytest.raises(UserError, match=rf"b\.txt: line 2: .*{message}"):
        open_split(DataOptions(source="yolo", root=str(tmp_path)), "train", "detection")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: train/images\nval: x\nnc: 2\nnames: [a, b, c]", "nc is 2, but there are 3 names"),
        ("train: train/images\nnames: {a: 1}", "expected class numbers"),
        ("train: nowhere/images\nnames: [a, b, c]", "no folder or file 'nowhere/images' in"),
        ("train: [a, b]\nnames: [a, b, c]", "no folder or file 'a' in"),
        ("train: [3]\nnames: [a, b, c]", "expected a folder or list of images"),
        ("train: []\nnames: [a, b, c]", "expected a folder or list of images"),
        ("train: train/images\nnames: [a, b, c]\nkpt_shape: [17, 3]", "key points"),
        ("train: !!python/object/apply:os.system [ls]", "not readable as YAML"),
        ("- 1", "expected an object"),
        ("train: train.txt\nnames: [a, b, c]", "no folder or file 'train.txt' in"),
    ],
)
def test_a_wrong_data_yaml_is_refused(yaml, message, tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(UserError, match=message):
        open_split(DataOptions(source="yolo", root=str(tmp_path)), "train", "detection")


@pytest.mark.parametrize(
    "yaml",
    [
        "path: C:\\data\\mine\ntrain: train\\images\nval: valid\\images\nnames: {0: cat, 2: bird, 1: dog}",
        "path: /home/of/another\ntrain: train/images\nval: valid/images\nnames: [cat, dog, bird]",
        "path: .\ntrain: train\nval: valid\nnc: 3\nnames: [cat, dog, bird]",
    ],
)
def test_paths_of_another_machine_are_found(yaml, tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(yaml, encoding="utf-8-sig")
    options = DataOptions(source="yolo", root=str(tmp_path))
    train = open_split(options, "train", "detection")
    assert train.classes == CLASSES
    assert train.category_ids == [0, 1, 2]
    assert len(open_split(options, "val", "detection", train.classes)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "document type or entities"),
        ("<annotation>", "not valid XML"),
        ("<root/>", "expected <annotation>"),
        ("<annotation><object><name>a</name></object></annotation>", "lacks <name> or <bndbox>"),
        (
            "<annotation><object><name>a</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
            "</bndbox></object></annotation>",
            "expected coordinates in pixels",
        ),
        (
            "<annotation><object><name>a</name><bndbox><xmin>1</xmin></bndbox></object></annotation>",
            "ymin: got '', expected a number",
        ),
    ],
)
def test_wrong_xml_is_refused(text, message, tmp_path):
    write_voc(tmp_path)
    (tmp_path / "Annotations" / "b.xml").write_text(text)
    with pytest.raises(UserError, match=rf"b\.xml: .*{message}"):
        open_split(DataOptions(source="voc", root=str(tmp_path)), "train", "detection")


def test_difficult_objects_of_voc_are_crowd_regions(tmp_path):
    path = write_voc(tmp_path) / "Annotations" / "b.xml"
    path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    split = open_split(DataOptions(source="voc", root=str(tmp_path)), "train", "detection")
    assert [split.load(index, "RGB")[1].crowd.tolist() for index in range(3)] == [[True], [False, False], []]


def test_pictures_turned_by_exif_keep_their_boxes(tmp_path):
    """YOLO's shares are of the upright picture."""
    from PIL import Image

    write_yolo(tmp_path)
    path = tmp_path / "train" / "images" / "b.png"
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    split = open_split(DataOptions(source="yolo", root=str(tmp_path)), "train", "detection")
    image, target = split.load(1, "RGB")
    assert image.size == SIZE
    torch.testing.assert_close(target.boxes, torch.tensor([[0.0, 0.0, *SIZE]]))


def test_unreadable_pictures_are_named_by_check_data(tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "train" / "images" / "b.png").write_bytes(b"no picture")
    check = SOURCES["yolo"].check(DataOptions(source="yolo", root=str(tmp_path)), "train", None)
    assert [name.split(" ")[0] for name in check.errors["unreadable"]] == ["b.png"]


def cvat_with(tmp_path, shapes, image='name="a 1.png" width="30" height="20"'):
    path = write_cvat(tmp_path, "tasks") / "train" / "annotations.xml"
    path.write_text(f"<annotations><image {image}>{shapes}</image></annotations>")
    (tmp_path / "train" / "images" / "x" / "a 1.png").replace(tmp_path / "train" / "images" / "a 1.png")
    return DataOptions(source="cvat", root=str(tmp_path))


def test_turned_boxes_ellipses_and_part_masks_of_cvat(tmp_path):
    shapes = (
        '<box label="a" xtl="5" ytl="8" xbr="25" ybr="12" rotation="90"/>'
        '<ellipse label="a" cx="10" cy="10" rx="8" ry="4"/>'
        '<mask label="a" rle="1,2,3" left="4" top="5" width="3" height="2"/>'
    )
    split = open_split(cvat_with(tmp_path, shapes), "train", "detection")
    _, target = split.load(0, "RGB")
    torch.testing.assert_close(target.boxes, torch.tensor([[13.0, 0, 17, 20], [2, 6, 18, 14], [5, 5, 7, 6]]))
    assert target.masks[2].nonzero().tolist() == [[5, 5], [5, 6]]
    assert target.masks[0].sum() == 80
    assert abs(int(target.masks[1].sum()) - 100) < 6


def test_check_data_counts_what_is_left_out_of_cvat(tmp_path):
    check = SOURCES["cvat"].check(DataOptions(source="cvat", root=str(write_cvat(tmp_path))), "train", None)
    assert len(check.notes["polyline: no box or mask, left out"]) == 3


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ("<box label='a' xtl='nan' ytl='0' xbr='1' ybr='1'/>", "xtl: got 'nan', expected a number"),
        ("<box xtl='0' ytl='0' xbr='1' ybr='1'/>", "expected a label"),
        ("<polygon label='a' points='1,1;2,2'/>", "expected at least three points"),
        ("<mask label='a' rle='1,2' left='0' top='0' width='2' height='2'/>", "expected runs that sum to 4 pixels"),
        ("<mask label='a' rle='4' left='29' top='0' width='2' height='2'/>", "lead out of the picture of 30x20"),
        ("<blob/>", "got <blob>, expected box"),
    ],
)
def test_a_wrong_shape_of_cvat_is_named(shapes, message, tmp_path):
    with pytest.raises(UserError, match=rf"annotations\.xml: image 'a 1\.png': .*{message}"):
        open_split(cvat_with(tmp_path, shapes), "train", "detection")


def test_other_files_of_cvat_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected the path of a picture in"):
        open_split(cvat_with(tmp_path, "", 'name="../.." width="1" height="1"'), "train", "detection")
    path = tmp_path / "train" / "annotations.xml"
    for text, message in (("<annotations><track/></annotations>", "tracks of a video"), ("<a/>", "got <a>, expected")):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            open_split(DataOptions(source="cvat", root=str(tmp_path)), "train", "detection")
    project = write_cvat(tmp_path / "project")
    with pytest.raises(UserError, match=r"no subset 'test'; it has Train, Validation"):
        open_split(DataOptions(source="cvat", root=str(project), train="test"), "test", "detection")


def labelstudio_with(tmp_path, *values, **size):
    path = write_labelstudio(tmp_path) / "train" / "tasks.json"
    regions = [{"value": value, "original_width": 30, "original_height": 20, **size} for value in values]
    path.write_text(json.dumps([{"id": 1, "data": {"image": "b.png"}, "annotations": [{"result": regions}]}]))
    return DataOptions(source="labelstudio", root=str(tmp_path))


def test_turned_rectangles_and_ellipses_of_label_studio(tmp_path):
    """Rectangles turn about their left upper corner."""
    corner = {"x": 50, "y": 0, "rotation": 90, "rectanglelabels": ["a"]}
    ellipse = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "ellipselabels": ["a"]}
    options = labelstudio_with(tmp_path, {**corner, "width": 40, "height": 50}, ellipse, {"keypointlabels": ["a"]})
    _, target = open_split(options, "train", "detection").load(0, "RGB")
    torch.testing.assert_close(target.boxes, torch.tensor([[5.0, 0, 15, 12], [12, 8, 18, 12]]))
    check = SOURCES["labelstudio"].check(options, "train", None)
    assert any(kind.startswith("region that is no rectangle") for kind in check.notes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"brushlabels": ["a"], "rle": [1]}, "masks of brushes are not read"),
        ({"choices": ["a"]}, "copy each picture into a folder of its class"),
        ({"polygonlabels": ["a"], "points": [[1, 2]]}, "expected at least three pairs"),
        ({"polygonlabels": ["a"], "points": [[1, 2], [3, 4], [5, 1e9]]}, "expected 2 numbers from -100 to 200"),
        ({"rectanglelabels": ["a"], "x": 1}, "y is missing, expected a number"),
        ({"rectanglelabels": [1]}, "expected a list of strings"),
    ],
)
def test_a_wrong_region_of_label_studio_is_named(value, message, tmp_path):
    with pytest.raises(UserError, match=rf"tasks\.json: .*{message}"):
        open_split(labelstudio_with(tmp_path, value), "train", "detection")


def test_a_picture_of_another_size_than_label_studio_has_seen_is_refused(tmp_path):
    options = labelstudio_with(tmp_path, {"rectanglelabels": ["a"]}, original_width=60)
    with pytest.raises(UserError, match=r"original_width and original_height are 60 and 20, but .* has 30x20 pixels"):
        open_split(options, "train", "detection")
