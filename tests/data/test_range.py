"""Pictures of more than 8 bits: which values become black and white, and that it is said."""

import io

import numpy as np
import pytest
from PIL import Image

from atmnet.data import UnreadableImage, check_split, dark_note, open_labelled, read_image
from atmnet.data.sources import open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.png import GREY_ALPHA, RGB, encode_png
from tests.data.tiny import write_digits

TWELVE_BITS = np.linspace(0, 4095, 256).reshape(16, 16)


def file_of(values, kind="TIFF"):
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind)
    file.seek(0)
    return file


def read(values, value_range, kind="TIFF"):
    return np.asarray(read_image(file_of(values, kind), "L", value_range))


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(np.uint16, "PNG"), (np.uint16, "TIFF"), (">u2", "TIFF"), (np.int32, "TIFF"), (np.float32, "TIFF")],
    ids=["16 png", "16 tiff", "16 big-endian", "32", "float"],
)
def test_one_rule_for_all_depths(dtype, kind):
    values = TWELVE_BITS.astype(dtype)
    expected = np.rint(np.clip((values.astype(float) - 100) / 3900, 0, 1) * 255)
    np.testing.assert_array_equal(read(values, (100, 4000), kind), expected)


def test_negative_values_infinities_and_nan():
    values = np.array([[-2000, -1000, -300, 400, 500]])
    np.testing.assert_array_equal(read(values.astype(np.int32), (-1000, 400)), [[0, 0, 128, 255, 255]])
    odd = np.array([[np.nan, -np.inf, np.inf, -1000, 400]], np.float32)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(read(odd, (-1000, 400)), [[0, 0, 255, 0, 255]])


def test_a_nan_darkens_nothing_else():
    np.testing.assert_array_equal(read(np.array([[np.nan, 0.5, 1]], np.float32), None), [[0, 128, 255]])


def test_large_pictures_are_scaled_as_small_ones(monkeypatch):
    values = np.random.default_rng(0).integers(0, 65536, (40, 1000)).astype(np.uint16)
    whole = read(values, None)
    np.testing.assert_array_equal(whole, np.rint(values / 257))
    monkeypatch.setattr("atmnet_runtime._strips", lambda image: (slice(k, k + 1) for k in range(image.height)))
    np.testing.assert_array_equal(read(values, None), whole)


def test_8_bits_are_as_they_were():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(read(values, (0, 4095), "PNG"), values)


@pytest.mark.parametrize("kind", [RGB, GREY_ALPHA])
def test_16_bits_in_colour(kind):
    content = encode_png(np.full((3, 3, 3 if kind == RGB else 2), 0x8001), 16, kind)
    assert read_image(io.BytesIO(content), "L").getpixel((0, 0)) == (0x80 if kind == RGB else 0xBF)
    with pytest.raises(UnreadableImage, match="16 bits per channel in colour; a range of values is for grey"):
        read_image(io.BytesIO(content), "L", (0, 4095))


def test_transparent_16_bit_grey_is_white():
    content = encode_png(np.array([[0x1234, 0x8000]]), 16, tRNS=b"\x12\x34")
    np.testing.assert_array_equal(np.asarray(read_image(io.BytesIO(content), "L")), [[255, 128]])


def test_nearly_black_is_said():
    values = TWELVE_BITS.astype(np.uint16)
    assert "no value above 4095" in str(dark_note("a.png", read_image(file_of(values))))
    assert dark_note("a.png", read_image(file_of(values), "L", (0, 4095))) is None
    assert dark_note("a.png", read_image(file_of(values * 16))) is None
    assert dark_note("a.png", read_image(file_of(values.astype(np.uint8)))) is None


@pytest.mark.parametrize(
    ("values", "value_range", "lines"),
    [
        (
            TWELVE_BITS.astype(np.uint16), None,
            ["values 0 to 4095", "0 is black and 65535 is white", "become nearly black; use --data.range 0 4095"],
        ),
        (TWELVE_BITS.astype(np.uint16), (0, 4095), ["values 0 to 4095", "0 is black and 4095 is white"]),
        (
            TWELVE_BITS.astype(np.uint16), (0, 1023),
            ["values 0 to 4095", "1023 is white", "beyond data.range are clipped; --data.range 0 4095"],
        ),
        (
            (TWELVE_BITS - 1000).astype(np.int32), None,
            ["values -1000 to 3095", "65535 is white", "--data.range -1000 3095"],
        ),
        ((TWELVE_BITS / 4095).astype(np.float32), None, ["values 0 to 1", "0 to 1 becomes black to white"]),
        ((TWELVE_BITS * 16).astype(np.uint16), None, ["values 0 to 65520", "65535 is white"]),
    ],
    ids=["12 bits", "fits", "clipped", "negative", "floats", "16 bits"],
)  # fmt: skip
def test_check_data_says_the_range(tmp_path, values, value_range, lines):
    root = write_digits(tmp_path)
    for path in (root / "train" / "two").iterdir():
        path.unlink()
        Image.fromarray(values).save(path.with_suffix(".tif"))
    check = check_split(DataOptions(root=str(root), range=value_range), "train")
    said = check.depths.lines
    assert said[0].startswith("8 images of more than 8 bits")
    assert said[-1] == "16 other images have 8 bits, which data.range does not change"
    assert len(said) == len(lines) + 1
    for line, part in zip(said, lines, strict=False):
        assert part in line
    assert not check.errors


def test_splits_read_by_the_range(tmp_path):
    root = write_digits(tmp_path)
    (root / "train" / "two" / "two-0.png").unlink()
    Image.fromarray(TWELVE_BITS.astype(np.uint16)).save(root / "train" / "two" / "two-0.png")
    source = open_labelled(DataOptions(root=str(root), range=(0, 4095)), "train")
    index = next(k for k in range(len(source)) if source.name(k).endswith("two-0.png"))
    assert source.load(index, "L")[0].getextrema() == (0, 255)


@pytest.mark.parametrize("value_range", [(5, 5), (9, 1), (0, float("inf")), (float("nan"), 1)])
def test_wrong_ranges(value_range, tmp_path):
    with pytest.raises(UserError, match=r"data\.range: got .* expected two finite numbers, the lower one first"):
        open_split(DataOptions(root=str(tmp_path), range=value_range), "train", "classification")


def test_embedded_data_take_no_range():
    with pytest.raises(UserError, match=r"data\.range: data\.source 'digits' does not take it"):
        open_split(DataOptions(source="digits", range=(0, 9)), "train", "classification")
