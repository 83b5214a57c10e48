"""One rule for what a picture and a class is: the same in folders, tar files, shards, predictions and checks."""

import io
import os
import tarfile
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from atmnet.data import open_labelled
from atmnet.data.check import check_split
from atmnet.data.class_names import read_class_file
from atmnet.data.listing import list_pictures, natural_key
from atmnet.predictions import find_images
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions


def picture(path: Path, colour: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.linear_gradient("L").resize((12, 10))
    image.putpixel((0, 0), colour)
    image.save(path)
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    """Two classes of two pictures each, and a validation split."""
    for number, name in enumerate(("train/cat/2.png", "train/cat/10.png", "train/dog/a.png", "train/dog/b.png")):
        picture(tmp_path / name, number)
    picture(tmp_path / "val/cat/1.png")
    return tmp_path


def opened(root: Path, **options):
    return open_labelled(DataOptions(root=str(root), **options), "train")


NOT_CLASSES = [".ipynb_checkpoints/a.png", "__MACOSX/a.png", "@eaDir/a.png", ".git/a.png"]
NOT_PICTURES = ["cat/._2.png", "cat/.hidden.png", "cat/Thumbs.db", "cat/.DS_Store", "cat/notes.txt"]


@pytest.mark.parametrize("name", [*NOT_CLASSES, *NOT_PICTURES])
def test_what_systems_and_tools_leave_behind_is_not_used_anywhere(root, name):
    path = root / "train" / name
    if path.suffix == ".png":
        picture(path)
    else:
        path.write_text("x")
    source = opened(root)
    assert source.classes == ["cat", "dog"]
    assert len(source) == 4
    assert len(find_images([str(root / "train")])) == 4
    check = check_split(DataOptions(root=str(root)), "train")
    assert check.labels == {0: 2, 1: 2}

    with tarfile.open(root / "train.tar", "w") as tar:
        tar.add(root / "train", "")
    os.rename(root / "train", root / "elsewhere")
    packed = opened(root, source="tar")
    assert packed.classes == ["cat", "dog"]
    assert len(packed) == 4


def test_the_order_is_natural_everywhere(root, monkeypatch):
    names = [opened(root).name(i) for i in range(4)]
    assert names == ["cat/2.png", "cat/10.png", "dog/a.png", "dog/b.png"]
    assert [str(path.relative_to(root / "train")) for path in find_images([str(root / "train")])] == names
    assert sorted(["b", "A", "a10", "a9", "10", "9", "0010"], key=natural_key) == [
        "9",
        "0010",
        "10",
        "A",
        "a9",
        "a10",
        "b",
    ]


def test_links_are_followed_everywhere(root, tmp_path):
    outside = tmp_path / "outside"
    picture(outside / "c.png")
    (root / "train" / "cow").symlink_to(outside)
    (root / "train" / "cat" / "link.png").symlink_to(root / "train" / "dog" / "a.png")
    (root / "train" / "dog" / "around").symlink_to(root / "train")
    (root / "train" / "dog" / "nowhere.png").symlink_to(root / "missing.png")
    source = opened(root)
    assert source.classes == ["cat", "cow", "dog"]
    assert len(source) == 7
    assert len(find_images([str(root / "train")])) == 7
    assert source.left_out["link to a folder around it: not followed"] == ["dog/around"]
    check = check_split(DataOptions(root=str(root)), "train")
    assert check.labels[1] == 1
    assert [name for name in check.errors["unreadable"] if "nowhere.png" in name]


@pytest.mark.parametrize(("name", "kind"), [("cat/a.heic", ".heic"), ("cat/b.JP2", ".jp2"), ("dog/c.avif", ".avif")])
def test_formats_that_are_not_read_are_said(root, name, kind):
    (root / "train" / name).write_bytes(b"x")
    assert opened(root).notices == [f"not used: picture in a format that is not read: {kind}: 1, e.g. {name!r}"]
    notes: list[str] = []
    find_images([str(root / "train")], notes)
    assert len(notes) == 1
    assert kind in notes[0]
    assert check_split(DataOptions(root=str(root)), "train").notes[f"picture in a format that is not read: {kind}"] == [
        name
    ]


def test_a_class_is_the_same_in_every_form_of_unicode(root):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    picture(root / "train" / composed / "1.png")
    picture(root / "val" / decomposed / "1.png")
    classes = opened(root).classes
    assert composed in classes
    val = open_labelled(DataOptions(root=str(root)), "val", classes)
    assert sorted(val.load(i, "L")[1] for i in range(2)) == sorted([classes.index("cat"), classes.index(composed)])
    picture(root / "train" / decomposed / "1.png")
    with pytest.raises(
        UserError, match=r"same name, 'cafe\\u0301' and 'caf\\xe9'|same name, 'caf\\xe9' and 'cafe\\u0301'"
    ):
        opened(root)


def test_class_files_of_any_system(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes("\ufeffcafé \r\n\r\nb\r\n".encode())
    assert read_class_file(str(path)) == ["café", "b"]


def test_near_names_are_noted(root):
    picture(root / "train" / "Cat" / "1.png")
    notes = check_split(DataOptions(root=str(root)), "train").notes
    assert notes["classes whose names differ only in capital letters or spaces"] == ["'Cat', 'cat'"]


def test_a_loop_of_links_ends(tmp_path):
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "b").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    listing = list_pictures(tmp_path)
    assert listing.pictures == ["a/1.png"]


def shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_shards_keep_names_with_dots(tmp_path):
    png = picture(tmp_path / "x.png").read_bytes()
    members = {"2024.05.01-shot.png": png, "2024.05.01-shot.cls": b"1", "b.JPG": png, "b.cls": b"\xef\xbb\xbf0\n"}
    shard(tmp_path / "s-0.tar", {**members, "b.mask.png": png})
    source = open_labelled(DataOptions(source="wds", root=str(tmp_path)), "s")
    assert [source.load(i, "L")[1] for i in range(len(source))] == [1, 0]
    assert source.left_out["further part of a sample: ignored"] == ["s-0.tar/b.mask.png"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.png": b"", "a.cls": b"0", "a.jpg": b""}, "the sample 'a' has two pictures"),
        ({"a.b.png": b""}, "1 images have no .cls file, e.g. a.b"),
        ({"a.png": b"", "a.cls": b"9" * 10**6}, "expected at most 64"),
        ({"a.png": b"", "a.cls": b"-1"}, "contains '-1', expected the label's number"),
    ],
)
def test_shards_never_lose_a_sample_silently(tmp_path, members, message):
    shard(tmp_path / "s-0.tar", members)
    with pytest.raises(UserError, match=message):
        open_labelled(DataOptions(source="wds", root=str(tmp_path)), "s")


@pytest.mark.parametrize(
    "pattern", ["s-{0..1000000000}.tar", "s-{0..99}{0..99}{0..99}.tar", "s-{9..0}.tar", "s-{00..}.tar", "../s", "/s"]
)
def test_patterns_of_shards_are_limited(tmp_path, pattern):
    with pytest.raises(UserError, match=r"expected|within data\.root"):
        open_labelled(DataOptions(source="wds", root=str(tmp_path)), pattern)


def damaged_tar(kind: str) -> bytes:
    """A tar file whose header lies."""
    info = tarfile.TarInfo("cat/a.png")
    info.size = {"2^60 bytes": 2**60, "cut short": 5000}.get(kind, 0)
    if kind == "a sparse member":
        info.type = tarfile.GNUTYPE_SPARSE
    if kind == "a name of 2^40 bytes":
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if kind == "a negative size":
        info.size = 0
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        header[124:136] = b"\xff" * 12
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"\0" * 1024


@pytest.mark.parametrize(
    "kind", ["2^60 bytes", "cut short", "a sparse member", "a name of 2^40 bytes", "a negative size"]
)
def test_headers_of_tar_files_that_lie(tmp_path, kind):
    (tmp_path / "train.tar").write_bytes(damaged_tar(kind))
    with pytest.raises(UserError, match="not a readable tar file") as caught:
        open_labelled(DataOptions(source="tar", root=str(tmp_path)), "train")
    assert "\n" not in str(caught.value)
