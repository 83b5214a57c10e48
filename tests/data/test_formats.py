"""Only the documented formats are opened, by content, and no program is ever started for a picture."""

import io
import os
import tarfile
import zlib

import numpy as np
import pytest
from PIL import Image, features

from atmnet.data import UnreadableImage, check_split, open_labelled, read_image
from atmnet.data.dense_check import check_coco
from atmnet.data.label_maps import read_label_map
from atmnet.export.pictures import pictures
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.png import encode_png
from tests.data.tiny import pack, write_digits, write_shards
from tests.data.tiny_dense import write_coco

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n0 0 20 20 rectfill\nshowpage\n%%EOF\n"


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A fake Ghostscript that leaves a file when it is started; the file."""
    folder, left = tmp_path / "bin", tmp_path / "started"
    folder.mkdir()
    for name in ("gs", "gswin64c", "gswin32c"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {left}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    yield left
    assert not left.exists(), "Ghostscript was started"


def _saved(kind):
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(file, kind)
    return file.getvalue()


def _foreign():
    """Content of formats that Pillow knows and that are not documented."""
    yield "eps", EPS
    yield from ((kind.lower(), _saved(kind)) for kind in ("PPM", "ICO", "TGA", "PCX", "SGI", "PDF"))
    yield "damaged avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(200)
    if features.check("avif"):
        yield "avif", _saved("AVIF")


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in _foreign()])
def test_other_formats_are_no_pictures(content, tmp_path, started):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    for file in (path, str(path), io.BytesIO(content)):
        with pytest.raises(UnreadableImage, match="not a picture"):
            read_image(file)
    with pytest.raises(UnreadableImage):
        read_label_map(path)
    with pytest.raises(UserError, match=r"picture\.png: not a picture"):
        pictures(str(tmp_path), 3)


@pytest.mark.filterwarnings("ignore:unclosed file .*.tar:ResourceWarning")  # timm's
@pytest.mark.parametrize("source", ["folder", "tar", "wds/train-*.tar"])
def test_every_source_says_unreadable(source, tmp_path, started):
    root = write_digits(tmp_path / "data")
    (root / "train" / "two" / "two-1.png").write_bytes(EPS)
    if source == "tar":
        pack(root / "train", root / "train.tar")
        (root / "train").rename(root / "unpacked")
    elif source != "folder":
        write_shards(root / "train", "train-{}.tar")
    options = DataOptions(source=source.partition("/")[0], root=str(root))
    check = check_split(options, "train")
    assert list(check.errors) == ["unreadable"]
    assert [line.partition(" (")[2] for line in check.errors["unreadable"]] == [
        "not a picture, or too damaged to be recognised as one)"
    ]


def test_coco_says_unreadable(tmp_path, started):
    (write_coco(tmp_path) / "train" / "10.png").write_bytes(EPS)
    check = check_coco(DataOptions(source="coco", root=str(tmp_path)), "train")
    assert check.errors["unreadable"] == ["10.png (not a picture, or too damaged to be recognised as one)"]


@pytest.mark.filterwarnings("ignore:unclosed file .*.tar:ResourceWarning")  # timm's
def test_a_truncated_member_of_a_tar_is_unreadable(tmp_path):
    root = write_digits(tmp_path / "data")
    split = pack(root / "train", root / "other.tar")
    with tarfile.open(split) as tar:
        last = tar.getmembers()[-1]
    options = DataOptions(source="tar", root=str(root), train="other")
    source = open_labelled(options, "other")
    split.write_bytes(split.read_bytes()[: last.offset + 700])
    with pytest.raises(UnreadableImage):
        source.load(len(source) - 1, "RGB")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("no"), SystemError("x\ny"), AttributeError("a")], ids=str
)
def test_whatever_a_decoder_raises_is_unreadable(error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    with pytest.raises(UnreadableImage, match=type(error).__name__) as caught:
        read_image(io.BytesIO(_saved("PNG")))
    assert "\n" not in str(caught.value)


def test_large_chunks_beside_the_pixels():
    pixels = np.full((4, 4), 9)
    text = b"key\0\0" + zlib.compress(bytes(80 * 2**20))
    with pytest.raises(UnreadableImage, match="too large"):
        read_image(io.BytesIO(encode_png(pixels, 8, zTXt=text)))
    profile = b"icc\0\0" + zlib.compress(b"no profile")
    assert read_image(io.BytesIO(encode_png(pixels, 8, iCCP=profile)), "L").getpixel((0, 0)) == 9
