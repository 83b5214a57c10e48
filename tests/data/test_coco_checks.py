"""Files of annotations as tools write them, and as nobody should: said or refused before memory is allocated."""

import json
import time
import tracemalloc
from pathlib import Path

import pytest

from atmnet.data.coco import open_coco
from atmnet.data.dense_check import check_coco
from atmnet.data.masks import decode_mask
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import coco_content, write_coco


def opened(root: Path, **options):
    return open_coco(DataOptions(source="coco", root=str(root), **options), "train")


def with_crowd(*flags: object) -> dict:
    content = coco_content()
    for annotation, flag in zip(content["annotations"], flags, strict=True):
        annotation["iscrowd"] = flag
    return content


@pytest.mark.parametrize("flags", [(1, 1, 1), (1, 1, 0)])
def test_a_file_of_crowds_is_refused_unless_told_what_to_do(tmp_path, flags):
    write_coco(tmp_path, with_crowd(*flags))
    with pytest.raises(UserError, match=rf"iscrowd is 1 for {sum(flags)} of 3 annotations.*--data\.crowd objects"):
        opened(tmp_path)
    assert any(
        "iscrowd is 1 for" in kind
        for kind in check_coco(DataOptions(source="coco", root=str(tmp_path)), "train").errors
    )
    objects = [opened(tmp_path, crowd="objects").load(i, "RGB")[1] for i in range(3)]
    assert not any(target.crowd.any() for target in objects)
    assert sum(len(target.boxes) for target in objects) == 3
    regions = [opened(tmp_path, crowd="regions").load(i, "RGB")[1] for i in range(3)]
    assert sum(int(target.crowd.sum()) for target in regions) == sum(flags)


@pytest.mark.parametrize("flag", [True, "0", 1.0, None, 2])
def test_iscrowd_of_another_type_is_refused(tmp_path, flag):
    write_coco(tmp_path, with_crowd(0, 0, flag))
    with pytest.raises(UserError, match="iscrowd that is neither 0 nor 1"):
        opened(tmp_path)
    assert not any(opened(tmp_path, crowd="objects").load(i, "RGB")[1].crowd.any() for i in range(3))


@pytest.mark.parametrize("name", ["_background_", "animals"])
def test_classes_without_objects_are_said_and_can_be_left_out(tmp_path, name):
    content = coco_content()
    content["categories"].insert(0, {"id": 0, "name": name, "supercategory": "none"})
    write_coco(tmp_path, content)
    source = opened(tmp_path)
    assert source.classes[0] == name
    assert source.notices == [f"1 of 3 classes have no objects: {name}; --data.used_classes true leaves them out"]
    used = opened(tmp_path, used_classes=True)
    assert used.classes == ["train", "toothbrush"]
    assert used.category_ids == [7, 90]
    # A validation split that has the unused category, too, is read with the classes of training.
    write_coco(tmp_path, content, split="val")
    assert open_coco(DataOptions(source="coco", root=str(tmp_path)), "val", used.classes).classes == used.classes


def test_one_class_of_crowds_is_said(tmp_path):
    write_coco(tmp_path, with_crowd(1, 0, 0))
    assert "most annotations of 1 classes are crowd regions" in opened(tmp_path).notices[-1]


NAN, INF = float("nan"), float("inf")


def change_mask(value):
    return lambda c: c["annotations"][0].update(segmentation=value)


def change(part: str, **values):
    return lambda c: c[part][0].update(values)


HOSTILE = {
    "a polygon with NaN": change_mask([[1, 2, NAN, 4, 5, 6]]),
    "a polygon with infinity": change_mask([[1, 2, INF, 4, 5, 6]]),
    "a polygon to 1e300": change_mask([[1, 2, 1e300, 4, 5, 6]]),
    "a polygon to 10^400": change_mask([[1, 2, 10**400, 4, 5, 6]]),
    "a polygon of booleans": change_mask([[True, False, True, False, True, False]]),
    "a polygon of text": change_mask([["1", "2", "3", "4", "5", "6"]]),
    "a polygon far away": change_mask([[0, 0, 4e6, 0, 4e6, 4e6]]),
    "a box with NaN": change("annotations", bbox=[NAN, 1, 2, 3]),
    "a box of 1e300": change("annotations", bbox=[0, 0, 1e300, 3]),
    "a box of 10^400": change("annotations", bbox=[0, 0, 10**400, 3]),
    "an area of NaN": change("annotations", area=NAN),
    "a negative area": change("annotations", area=-4),
    "an id of 10^400": change("annotations", id=10**400),
    "an id that is true": change("annotations", id=True),
    "a width of 10^9": change("images", width=10**9),
    "a height of 0": change("images", height=0),
    "a picture outside": change("images", file_name="../../30.png"),
    "an absolute name": change("images", file_name="/etc/30.png"),
    "a name with a zero byte": change("images", file_name="a\0.png"),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_numbers_are_checked_before_memory_is_allocated(tmp_path, spoil):
    content = coco_content()
    spoil(content)
    write_coco(tmp_path, content)
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert tracemalloc.get_traced_memory()[1] < 50e6
    assert time.monotonic() - start < 5
    tracemalloc.stop()


@pytest.mark.parametrize(
    "segmentation",
    [
        [[0, 0] + [9, 9, 0, 0] * 10**6],
        [[1, 2, 3, 4, 5]],
        {"size": [10**5, 10**5], "counts": [10**10]},
        {"size": [20, 30], "counts": [10**10]},
        {"size": [20, 30], "counts": [-5, 605]},
        {"size": [20, 30], "counts": [1.5, 598.5]},
        {"size": 7, "counts": 7},
        {"size": [20, 30], "counts": None},
    ],
)
def test_masks_that_no_picture_has(segmentation):
    with pytest.raises(ValueError, match=r"expected|image"):
        decode_mask(segmentation, 20, 30)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"images": ' + "9" * 10**5 + "}", "", "null", "[]", '{"images": {}}'])
def test_damaged_files_are_one_line(tmp_path, text):
    write_coco(tmp_path)
    (tmp_path / "annotations" / "instances_train.json").write_text(text)
    with pytest.raises(UserError, match=r"instances_train\.json: (not valid JSON|expected COCO's format)"):
        opened(tmp_path)


def test_file_names_of_other_systems_are_found(tmp_path):
    content = coco_content()
    for image in content["images"]:
        image["file_name"] = f"day\\{image['file_name']}"
    write_coco(tmp_path, content)
    (tmp_path / "train" / "day").mkdir()
    for path in list((tmp_path / "train").glob("*.png")):
        path.rename(path.parent / "day" / path.name)
    assert opened(tmp_path).load(0, "RGB")[0].size == (30, 20)


def test_honest_files_of_pythons_writer_are_read(tmp_path):
    """Polygons may reach over the edge of the picture, and coordinates be fractions."""
    content = json.loads(json.dumps(coco_content()))
    content["annotations"][0]["segmentation"] = [[-3.5, -2, 40, -2, 40, 33.25]]
    write_coco(tmp_path, content)
    assert opened(tmp_path).load(0, "RGB")[1].masks.any()
