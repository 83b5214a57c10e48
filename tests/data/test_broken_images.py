"""What cannot be decoded raises UnreadableImage, which says why, and nothing else."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from atmnet.data import EXTENSIONS, UnreadableImage, read_image
from tests.data.tiny import png_header

KINDS = sorted({Image.registered_extensions()[extension] for extension in EXTENSIONS} - {"MPO"})


def _encoded(kind, mode="RGB"):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    file = io.BytesIO()
    exif = {} if kind in ("BMP", "GIF") else {"exif": Image.Exif()}
    for options in exif.values():
        options[0x0112] = 6
    image = (
        Image.fromarray(noise[:, :, 0].astype(np.uint16)) if mode == "I;16" else Image.fromarray(noise).convert(mode)
    )
    image.save(file, kind, **exif)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a picture"),
        (b"not a picture\n" * 99, "not a picture"),
        (_encoded("JPEG")[:700], "truncated"),
        (_encoded("PNG")[:700], "truncated"),
        (png_header(20_000, 20_000), "400000000 pixels"),
        (png_header(64, 64), "truncated"),
    ],
    ids=["empty", "text", "truncated jpeg", "truncated png", "bomb", "too few pixels"],
)
def test_unreadable(content, why):
    with pytest.raises(UnreadableImage, match=why) as caught:
        read_image(io.BytesIO(content))
    assert "\n" not in str(caught.value)


def test_pixel_limit_is_pillows(monkeypatch):
    """Beyond the limit Pillow warns, beyond twice it refuses: a warning on stderr would name no file."""
    content = _encoded("PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 1600 pixels: a warning
    assert read_image(io.BytesIO(content)).size == (40, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(UnreadableImage, match="1600 pixels"):
        read_image(io.BytesIO(content))


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_anywhere(kind):
    content = _encoded(kind)
    refused = 0
    for end in range(0, len(content), 1 + len(content) // 150):
        try:
            read_image(io.BytesIO(content[:end]))
        except UnreadableImage:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *((kind, "RGB") for kind in KINDS),
        ("JPEG", "CMYK"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("GIF", "L"),
        ("TIFF", "I;16"),
    ],
)
def test_damaged_anywhere(kind, mode, monkeypatch):
    """600 times some bytes of the file changed: a picture or UnreadableImage, never another exception or a warning."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)  # a damaged header may ask for gigabytes
    content, chance = _encoded(kind, mode), random.Random(0)
    whole = read_image(io.BytesIO(content)).tobytes()
    hurt = 0
    for _ in range(600):
        damaged = bytearray(content)
        for _ in range(chance.choice([1, 3, 30])):
            # Headers are short and break in more ways than pixels.
            damaged[chance.randrange(chance.choice([64, len(damaged)]))] = chance.randrange(256)
        try:
            hurt += read_image(io.BytesIO(bytes(damaged))).tobytes() != whole
        except UnreadableImage:
            hurt += 1
    assert hurt > 300
