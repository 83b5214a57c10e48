"""The same pictures out of folders, tar files, webdataset shards, hub data sets; and the embedded digits."""

import collections
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from atmnet.data import open_labelled
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny import CLASSES, pack, write_shards


def _pictures(source):
    """Label -> its pictures, in any order."""
    pictures = collections.defaultdict(set)
    for index in range(len(source)):
        image, label = source.load(index, "L")
        pictures[label].add(image.tobytes())
    return pictures


@pytest.fixture
def pictures(digits_root):
    return _pictures(open_labelled(DataOptions(root=str(digits_root)), "val"))


@pytest.mark.parametrize("split", ["val", "val.tar"])
@pytest.mark.filterwarnings("ignore:unclosed file .*val.tar:ResourceWarning")  # timm's
def test_tar(digits_root, pictures, split):
    pack(digits_root / "val", digits_root / "val.tar")
    if split == "val":
        (digits_root / "val").rename(digits_root / "elsewhere")
    source = open_labelled(DataOptions(source="tar", root=str(digits_root)), split)
    assert source.classes == list(CLASSES)
    assert source.name(0) == "eight/eight-0.png"
    assert _pictures(source) == pictures


@pytest.mark.parametrize("content", [b"", b"no archive" * 99, None])
def test_tar_refused(digits_root, content):
    archive = digits_root / "val.tar"
    if content is None:
        pack(digits_root / "no such folder", archive)
    else:
        archive.write_bytes(content)
    with pytest.raises(UserError, match=r"val.tar: "):
        open_labelled(DataOptions(source="tar", root=str(digits_root)), "val.tar")


@pytest.mark.parametrize("split", ["shards", "shards-*.tar", "shards-{0..1}.tar"])
@pytest.mark.parametrize("named", [True, False])
def test_webdataset_shards(digits_root, pictures, split, named, tmp_path):
    write_shards(digits_root / "val", "shards-{}.tar")
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    options = DataOptions(source="wds", root=str(digits_root), classes=str(tmp_path / "classes.txt") if named else "")
    source = open_labelled(options, split)
    assert source.classes == (list(CLASSES) if named else ["0", "1", "2"])
    assert source.name(0) == "shards-0.tar/0000.png"
    assert _pictures(source) == pictures


@pytest.mark.parametrize(
    ("split", "classes", "message"),
    [
        ("other", "", r"other-\*.tar: no such shard"),
        ("shards-{0..3}.tar", "", "2 of 4 shards are missing, e.g. shards-2.tar"),
        ("shards", "a\nb\n", "labels 0 to 2, expected 0 to 1"),
        ("broken", "", "broken-0.tar: not a readable tar file"),
    ],
)
def test_webdataset_refused(digits_root, tmp_path, split, classes, message):
    write_shards(digits_root / "val", "shards-{}.tar")
    (digits_root / "broken-0.tar").write_bytes(b"no archive" * 99)
    options = DataOptions(source="wds", root=str(digits_root))
    if classes:
        (tmp_path / "classes.txt").write_text(classes)
        options.classes = str(tmp_path / "classes.txt")
    with pytest.raises(UserError, match=message):
        open_labelled(options, split)


def _hub(monkeypatch, digits_root, tmp_path, name=None):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return DataOptions(source=f"hfds/{name or digits_root}", root=str(tmp_path / "cache"))


def test_hub_data_set_from_a_local_folder(digits_root, pictures, tmp_path, monkeypatch):
    source = open_labelled(_hub(monkeypatch, digits_root, tmp_path), "validation")
    assert source.classes == list(CLASSES)
    assert _pictures(source) == pictures
    assert source.name(0).endswith(".png")


@pytest.mark.parametrize("what", ["data set", "split"])
def test_hub_data_set_refused(what, digits_root, tmp_path, monkeypatch):
    name = str(tmp_path / "nothing") if what == "data set" else None
    options = _hub(monkeypatch, digits_root, tmp_path, name)
    with pytest.raises(UserError, match=r"data.source: .*hfds") as caught:
        open_labelled(options, "tset")
    assert "\n" not in str(caught.value)


def test_hub_data_set_whose_labels_have_no_names(tmp_path, monkeypatch):
    options = _hub(monkeypatch, tmp_path / "data", tmp_path)
    import datasets

    pictures = datasets.Dataset.from_dict({"image": [Image.new("L", (8, 8))] * 2, "label": [0, 1]})
    (tmp_path / "data").mkdir()
    pictures.cast_column("image", datasets.Image()).to_parquet(tmp_path / "data" / "train.parquet")
    with pytest.raises(UserError, match="its labels have no names"):
        open_labelled(options, "train")


def test_digits():
    """Sizes, classes in proportion, nothing in both, the same split every time."""
    train, val = (open_labelled(DataOptions(source="digits"), split) for split in ("train", "val"))
    assert (len(train), len(val)) == (1347, 450)
    assert train.classes == val.classes == [str(digit) for digit in range(10)]
    names = [{source.name(i) for i in range(len(source))} for source in (train, val)]
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == 1797
    assert (val.name(0), val.name(449)) == ("digit-0021", "digit-1791")
    counts = np.bincount([val.load(i, "L")[1] for i in range(450)])
    assert counts.min() >= 43
    image, label = val.load(0, "RGB")
    assert (image.size, label) == ((32, 32), 1)
    assert np.asarray(image).max() > 230  # 16 levels, spread over 8 bits


@pytest.mark.parametrize("folder", ["", "a/", "./", "v1.0/"])
def test_dots_in_the_folders_of_a_shard(digits_root, tmp_path, folder):
    picture = next((digits_root / "val").rglob("*.png"))
    (tmp_path / "5").write_text("0")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(picture, f"{folder}000.png")
        tar.add(tmp_path / "5", f"{folder}000.cls")
    assert len(open_labelled(DataOptions(source="wds", root=str(tmp_path)), "a.tar")) == 1


def test_folders_in_the_folder_of_a_class(digits_root):
    """timm would take the innermost for the class."""
    inner = digits_root / "val" / "eight" / "2020"
    inner.mkdir()
    shutil.copy(digits_root / "val" / "eight" / "eight-0.png", inner)
    with pytest.raises(UserError, match=r"val: images in eight/2020; expected CLASS/IMAGE, no folders below"):
        open_labelled(DataOptions(root=str(digits_root)), "val")
