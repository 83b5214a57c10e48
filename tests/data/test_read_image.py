"""Any picture comes out as a person sees it, in 8 bits."""

import io

import numpy as np
import pytest
from PIL import Image

import atmnet_runtime
from atmnet.data import read_image, to_8_bits

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
LEFT_WHITE = np.repeat(np.array([[255] * 12 + [0] * 12]), 16, 0).astype(np.uint8)  # 16 high, 24 wide
CLEAR, RED = (9, 9, 9, 0), (255, 0, 0, 255)


def _file(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RAMP, "png"),
        (RAMP.astype(np.uint16) * 257, "png"),
        (RAMP.astype(np.uint16) * 257, "tiff"),
        ((RAMP.astype(np.uint16) * 257).astype(">u2"), "tiff"),
        (RAMP.astype(np.int32) * 257, "tiff"),
        (RAMP.astype(np.int32), "tiff"),
        (RAMP.astype(np.float32) / 255, "tiff"),
        (RAMP.astype(np.float32), "tiff"),
    ],
    ids=["8", "16", "16 tiff", "16 big-endian", "32 holding 16", "32 holding 8", "float to 1", "float to 255"],
)
def test_all_depths_are_scaled_not_clipped(values, kind, mode):
    image = read_image(_file(Image.fromarray(values), kind), mode)
    assert image.mode == mode
    expected = RAMP if mode == "L" else np.stack([RAMP] * 3, 2)
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_float_without_a_value():
    values = np.array([[np.nan, 1.0, -1.0, np.inf]], np.float32)
    with np.errstate(all="raise"):
        image = read_image(_file(Image.fromarray(values), "tiff"), "L")
    assert np.asarray(image)[0, 0] == 0
    assert np.asarray(image)[0, 2] == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_exif_turns_pictures_upright(orientation, kind):
    """Stored as a camera held in each of the eight ways would; seen, white is on the left."""
    T = Image.Transpose
    stored = {
        1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM,
        5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270,
    }[orientation]  # fmt: skip
    upright = Image.fromarray(LEFT_WHITE)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = _file(upright if stored is None else upright.transpose(stored), kind, exif=exif)
    image = read_image(file, "L")
    assert image.size == (24, 16)
    np.testing.assert_allclose(np.asarray(image, int), LEFT_WHITE, atol=8)


def test_cmyk_jpeg():
    cyan = read_image(_file(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "jpeg", quality=100))
    assert cyan.mode == "RGB"
    np.testing.assert_allclose(np.asarray(cyan, int), np.broadcast_to([0, 255, 255], (16, 16, 3)), atol=4)


def _transparent(mode):
    """Left pixel clear, right pixel opaque and dark (red where there is colour)."""
    image = Image.new("RGBA", (2, 1))
    image.putdata([CLEAR, RED])
    if mode == "RGBA":
        return image, {}
    if mode == "LA":
        return image.convert("LA"), {}
    if mode == "P bytes":
        indexed = Image.new("P", (2, 1))
        indexed.putpalette([9, 9, 9, 255, 0, 0])
        indexed.putdata([0, 1])
        return indexed, {"transparency": b"\x00\xff"}
    if mode == "P index":
        indexed, _ = _transparent("P bytes")
        return indexed, {"transparency": 0}
    if mode == "RGB key":
        return image.convert("RGB"), {"transparency": (9, 9, 9)}
    return image.convert("L"), {"transparency": 9}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P bytes", "P index", "RGB key", "L key"])
@pytest.mark.parametrize("target", ["RGB", "L"])
def test_transparency_lies_over_white(mode, target):
    image, options = _transparent(mode)
    clear, opaque = np.asarray(read_image(_file(image, "png", **options), target))[0]
    np.testing.assert_array_equal(clear, 255)
    expected = 76 if target == "L" or mode.startswith("L") else RED[:3]
    np.testing.assert_array_equal(opaque, expected)


def test_half_transparent_is_blended():
    image = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert read_image(_file(image, "png"), "L").getpixel((0, 0)) == 127


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    file = _file(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    with Image.open(file) as image:
        assert image.n_frames == 3
    file.seek(0)
    assert read_image(file).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp"])
def test_black_and_white(kind):
    image = Image.new("1", (2, 1))
    image.putdata([0, 1])
    np.testing.assert_array_equal(np.asarray(read_image(_file(image, kind), "L")), [[0, 255]])


def test_decoded_pictures_are_converted_alike():
    image, _ = _transparent("RGBA")
    assert read_image(image).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"])
@pytest.mark.parametrize("wanted", ["L", "RGB"])
def test_the_runtime_converts_alike(mode, wanted):
    """The runtime is one file to copy, so it has the conversion again; nothing may tell the two apart."""
    values = np.random.default_rng(0).integers(0, 60000 if mode.startswith("I") else 256, (5, 7, 4))
    if mode in ("I", "I;16", "F"):
        kind = {"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]
        image = Image.fromarray((values[..., 0] / (256 if mode == "F" else 1)).astype(kind))
    else:
        image = (
            Image.fromarray(values.astype(np.uint8), "RGBA").convert("RGB" if mode == "CMYK" else "RGBA").convert(mode)
        )
    assert image.mode == mode
    assert np.array_equal(to_8_bits(image, wanted), atmnet_runtime.plain(image, wanted))
