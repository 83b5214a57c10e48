"""Scenes written as files read back, by our readers and by pycocotools, as what is made on the fly."""

import json

import pytest
import torch
from pycocotools.coco import COCO

from atmnet.cli import make_scenes
from atmnet.data import write_scenes
from atmnet.data.scenes import SceneDetection, SceneSegmentation
from atmnet.data.sources import open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, MakeScenesOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes") / "a" / "b"
    assert make_scenes.run(MakeScenesOptions(str(path), train=5, val=3, img_size=64, seed=2)) == 0
    return path


@pytest.mark.parametrize(("split", "images"), [("train", 5), ("val", 3)])
def test_coco_reads_back_the_same(folder, split, images):
    written = open_split(DataOptions(source="coco", root=str(folder)), split, "detection")
    made = SceneDetection(split, img_size=64, images=images, seed=2)
    assert (len(written), written.classes, written.category_ids) == (images, made.classes, made.category_ids)
    for index in range(images):
        assert (written.name(index), written.image_id(index)) == (made.name(index), made.image_id(index))
        (image, target), (expected_image, expected) = written.load(index, "RGB"), made.load(index, "RGB")
        assert image.tobytes() == expected_image.tobytes()
        for name, value in vars(expected).items():
            if name == "image_id":
                assert target.image_id == value
            else:
                assert torch.equal(getattr(target, name), value), name
                assert getattr(target, name).dtype == value.dtype


@pytest.mark.parametrize(("split", "images"), [("train", 5), ("val", 3)])
def test_ade20k_reads_back_the_same(folder, split, images):
    written = open_split(DataOptions(source="ade20k", root=str(folder)), split, "segmentation")
    made = SceneSegmentation(split, img_size=64, images=images, seed=2)
    assert (len(written), written.classes) == (images, made.classes)
    for index in range(images):
        (image, labels), (expected_image, expected) = written.load(index, "RGB"), made.load(index, "RGB")
        assert image.tobytes() == expected_image.tobytes()
        assert torch.equal(labels, expected)


def test_scenes_of_another_look(tmp_path):
    look = {"objects": (1, 2), "digit_sizes": (32, 50), "contrast": (90, 170)}
    make_scenes.run(MakeScenesOptions(str(tmp_path / "made"), train=2, val=1, img_size=64, **look))
    written = open_split(DataOptions(source="coco", root=str(tmp_path / "made")), "train", "detection")
    made = SceneDetection("train", img_size=64, **look)
    assert [written.load(i, "RGB")[0].tobytes() for i in (0, 1)] == [made.load(i, "RGB")[0].tobytes() for i in (0, 1)]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, with NumPy 2
def test_pycocotools_agrees(folder):
    coco = COCO(folder / "annotations" / "instances_train.json")
    source = SceneDetection("train", img_size=64, images=5, seed=2)
    for index in range(5):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[index + 1]))
        _, target = source.load(index, "RGB")
        assert [a["category_id"] - 1 for a in annotations] == target.labels.tolist()
        for annotation, mask in zip(annotations, target.masks, strict=True):
            assert torch.equal(torch.from_numpy(coco.annToMask(annotation)).bool(), mask)
    ids = [a["id"] for a in json.loads((folder / "annotations" / "instances_train.json").read_text())["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="is not empty"):
        make_scenes.run(MakeScenesOptions(str(tmp_path), train=1, val=1, img_size=64))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UserError, match="expected a folder, but there is a file of this name"):
        make_scenes.run(MakeScenesOptions(str(tmp_path / "thesis.tex"), train=1, val=1, img_size=64))


def test_an_empty_folder_will_do(tmp_path):
    make_scenes.run(MakeScenesOptions(str(tmp_path), train=1, val=1, img_size=64))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations", "classes.txt", "images"]


@pytest.mark.parametrize(
    ("error", "seen"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space"), UserError)]
)
def test_nothing_is_left_of_what_was_stopped(tmp_path, monkeypatch, error, seen):
    def fail(mask):
        raise error

    monkeypatch.setattr(write_scenes, "_run_lengths", fail)
    with pytest.raises(seen):
        make_scenes.run(MakeScenesOptions(str(tmp_path / "scenes"), train=3, val=1, img_size=64))
    assert list(tmp_path.iterdir()) == []


def test_options_out_of_range(tmp_path):
    with pytest.raises(UserError, match="images: got 0"):
        make_scenes.run(MakeScenesOptions(str(tmp_path / "scenes"), train=0))
    assert list(tmp_path.iterdir()) == []
