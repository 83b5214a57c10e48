"""Reading COCO's format: what it means, and what is refused."""

import os
import pickle

import numpy as np
import pytest
import torch
from pycocotools import mask as pycoco

from atmnet.data import UnreadableImage
from atmnet.data.coco import open_coco
from atmnet.data.masks import decode_mask
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import coco_content, write_coco, write_picture


def opened(root, split="train", classes=None):
    return open_coco(DataOptions(source="coco", root=str(root)), split, classes)


@pytest.mark.parametrize("nested", [False, True])
def test_images_and_objects(tmp_path, nested):
    source = opened(write_coco(tmp_path, nested=nested))
    assert (source.classes, source.category_ids) == (["train", "toothbrush"], [7, 90])
    assert [source.name(i) for i in range(len(source))] == ["10.png", "20.png", "30.png"]
    assert [source.image_id(i) for i in range(len(source))] == [10, 20, 30]
    image, target = source.load(0, "L")
    assert (image.mode, image.size) == ("L", (30, 20))
    assert target.boxes.tolist() == [[2, 3, 12, 13], [0, 0, 5, 20]]
    assert (target.labels.tolist(), target.crowd.tolist(), target.area.tolist()) == ([1, 0], [False, True], [99.5, 100])
    assert target.image_id == 10
    assert target.masks.dtype == torch.bool
    assert torch.nonzero(target.masks[0]).min(0).values.tolist() == [3, 2]
    assert int(target.masks[0].sum()) == 100
    assert target.masks[1, :, :5].all()
    assert not target.masks[1, :, 5:].any()


def test_boxes_alone(tmp_path):
    """Masks are not even looked at."""
    content = coco_content()
    content["annotations"][0]["segmentation"] = [[1, 2]]
    options = DataOptions(source="coco", root=str(write_coco(tmp_path, content)))
    with pytest.raises(UnreadableImage, match="mask"):
        open_coco(options, "train").load(0, "RGB")
    _, target = open_coco(options, "train", masks=False).load(0, "RGB")
    assert target.boxes.tolist() == [[2, 3, 12, 13], [0, 0, 5, 20]]
    assert target.masks.shape == (2, 0, 0)
    assert target.keep(~target.crowd).labels.tolist() == [1]


def test_an_image_without_objects(tmp_path):
    _, target = opened(write_coco(tmp_path)).load(1, "RGB")
    assert (target.boxes.shape, target.masks.shape, target.image_id) == ((0, 4), (0, 20, 30), 20)


def test_without_segmentation_area_and_crowd(tmp_path):
    """Its box is the mask, as far as it lies in the image; the box stays as annotated."""
    _, target = opened(write_coco(tmp_path)).load(2, "RGB")
    assert target.boxes.tolist() == [[20.5, 10, 40.5, 15]]
    assert (target.area.tolist(), target.crowd.tolist()) == ([100.0], [False])
    assert int(target.masks[0].sum()) == 10 * 5
    assert target.masks[0, 10:15, 20:].all()


@pytest.mark.parametrize("bbox", [[2, 3, 0, 10], [2, 3, 5, -1], [31, 3, 5, 5], [-9, 3, 8, 5], [2, 20, 5, 5]])
def test_boxes_without_area_in_the_image_are_left_out(tmp_path, bbox):
    content = coco_content()
    content["annotations"][0]["bbox"] = bbox
    _, target = opened(write_coco(tmp_path, content)).load(0, "RGB")
    assert target.crowd.tolist() == [True]


def test_compressed_runs(tmp_path):
    shape = np.zeros((20, 30), np.uint8)
    shape[4:9, 11:20] = 1
    runs = pycoco.encode(np.asfortranarray(shape))
    content = coco_content()
    content["annotations"][0]["segmentation"] = {"size": [20, 30], "counts": runs["counts"].decode()}
    _, target = opened(write_coco(tmp_path, content)).load(0, "RGB")
    assert torch.equal(target.masks[0], torch.from_numpy(shape).bool())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, with NumPy 2
def test_polygons_as_pycocotools_draws_them():
    draw = np.random.default_rng(0)
    for _ in range(50):
        polygons = [draw.uniform(-5, 45, 2 * draw.integers(3, 8)).tolist() for _ in range(draw.integers(1, 4))]
        expected = pycoco.decode(pycoco.merge(pycoco.frPyObjects(polygons, 40, 35)))
        assert (decode_mask(polygons, 40, 35) == expected).all()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3, 4]], "at least three points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "at least three points"),
        ("circle", "expected polygons or run lengths"),
        ({"size": [30, 20], "counts": [600]}, r"its \(height, width\) is \[30, 20\], but that of the image is \[20,"),
        ({"size": [20, 30], "counts": [5, 6]}, "its runs sum to 11 pixels; the image has 600"),
        ({"size": [20, 30], "counts": "abc~~~~"}, "mask: "),
        ({"size": [20, 30], "counts": "###"}, "mask: "),
    ],
)
def test_bad_masks_are_named(tmp_path, segmentation, message):
    content = coco_content()
    content["annotations"][0]["segmentation"] = segmentation
    with pytest.raises(UnreadableImage, match=message):
        opened(write_coco(tmp_path, content)).load(0, "RGB")


def test_bad_pictures_are_named(tmp_path):
    source = opened(write_coco(tmp_path))
    write_picture(tmp_path / "train" / "10.png", (30, 20))
    with pytest.raises(UnreadableImage, match="the picture has 20x30 pixels, but is annotated as 30x20"):
        source.load(0, "RGB")
    (tmp_path / "train" / "10.png").write_bytes(b"no picture")
    with pytest.raises(UnreadableImage, match="not a picture"):
        source.load(0, "RGB")
    (tmp_path / "train" / "10.png").unlink()
    with pytest.raises(UnreadableImage, match="No such file"):
        source.load(0, "RGB")


def test_a_name_longer_than_any_file_has(tmp_path):
    """Such a picture is unreadable, like one that is missing; the others are read."""
    name = "x" * 5000 + "\\a.png"
    content = coco_content()
    content["images"][0]["file_name"] = name
    source = opened(write_coco(tmp_path, content))
    missing = next(index for index in range(3) if source.name(index) == name)
    with pytest.raises(UnreadableImage):
        source.load(missing, "RGB")
    assert source.inventory().names[missing] == name
    assert source.inventory().sizes[missing] == -1


def test_a_layout_of_ones_own(tmp_path):
    write_coco(tmp_path)
    os.rename(tmp_path / "train", tmp_path / "photos")
    os.rename(tmp_path / "annotations" / "instances_train.json", tmp_path / "mine.json")
    assert len(opened(tmp_path, "photos:mine.json")) == 3
    assert len(open_coco(DataOptions(source="coco"), f"{tmp_path / 'photos'}:{tmp_path / 'mine.json'}")) == 3


def test_classes_are_those_of_training(tmp_path):
    write_coco(tmp_path)
    assert opened(tmp_path, classes=["toothbrush", "train"]).category_ids == [90, 7]
    assert opened(tmp_path, classes=["toothbrush", "train"]).load(0, "RGB")[1].labels.tolist() == [0, 1]
    names = tmp_path / "names.txt"
    names.write_text("toothbrush\ntrain\n")
    assert opened(tmp_path).classes == ["train", "toothbrush"]
    assert open_coco(DataOptions(root=str(tmp_path), classes=str(names)), "train").classes == ["toothbrush", "train"]
    with pytest.raises(UserError, match="not the expected classes; unknown: toothbrush; missing: bus"):
        opened(tmp_path, classes=["train", "bus"])


def test_a_source_pickles_and_holds_no_file_open(tmp_path):
    source = opened(write_coco(tmp_path))
    copy = pickle.loads(pickle.dumps(source))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        assert torch.equal(copy.load(0, "RGB")[1].masks, source.load(0, "RGB")[1].masks)
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before
    assert source.blank("L")[0].size == (32, 32)


def broken(change):
    content = coco_content()
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected COCO's format, with lists images, annotations, categories; 'images' is missing"),
        (broken(lambda c: c.pop("categories")), "'categories' is missing"),
        (broken(lambda c: c["images"][1].pop("width")), r"images\[1\] lacks 'width'"),
        (broken(lambda c: c["images"].append(3)), r"images\[3\] is 3"),
        (broken(lambda c: c["annotations"][0].update(id="x")), r"annotations\[0\] has id 'x', not of type int"),
        (broken(lambda c: c["images"][0].update(width="30")), r"images\[0\] has width '30', not of type int"),
        (broken(lambda c: c["images"].clear()), "it has 0 images and 2 categories"),
        (broken(lambda c: c["images"][0].update(id=10)), "image id more than once: 1, the first 10"),
        (broken(lambda c: c["annotations"][0].update(id=2)), "annotation id more than once: 1, the first 2"),
        (broken(lambda c: c["annotations"][2].update(image_id=4)), "annotation of an unknown image: 1, the first 3"),
        (broken(lambda c: c["annotations"][2].update(category_id=4)), "annotation of an unknown category: 1, the fir"),
        (
            broken(lambda c: c["annotations"][2].update(bbox=[1, 2, 3])),
            "bbox that is not four numbers of the image's order: 1, the f",
        ),
        (broken(lambda c: c["annotations"][2].update(bbox=[1, 2, 3, float("nan")])), "bbox that is not four numbers"),
        (broken(lambda c: c["categories"][0].update(name="train")), "categories: name 'train' occurs more than once"),
        (broken(lambda c: c["categories"][0].update(id=7)), "categories: id 7 occurs more than once"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        opened(write_coco(tmp_path, content))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"data\.root: expected the folder"):
        open_coco(DataOptions(source="coco"), "train")
    with pytest.raises(UserError, match=r"instances_train\.json: no such file"):
        opened(tmp_path)
    write_coco(tmp_path)
    (tmp_path / "annotations" / "instances_val.json").write_text("{")
    with pytest.raises(UserError, match="no such folder; expected the images of instances_val"):
        opened(tmp_path, "val")
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match=r"instances_val\.json: not valid JSON"):
        opened(tmp_path, "val")
