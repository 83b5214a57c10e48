"""Open any picture file as 8-bit grey or RGB, the way a person sees it."""

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

#: What Pillow's many decoders raise on broken files.
BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class UnreadableImage(Exception):
    """A picture that cannot be decoded; the message says why."""


@contextlib.contextmanager
def _as_unreadable() -> Iterator[None]:
    with warnings.catch_warnings():
        # Pillow warns from half its limit on and refuses beyond it; the refusal is what counts.
        warnings.simplefilter("ignore")
        try:
            yield
        except UnidentifiedImageError as error:
            raise UnreadableImage("not a picture, or damaged beyond recognition") from error
        except BROKEN as error:
            raise UnreadableImage(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def read_image(file: str | IO[bytes] | Image.Image, mode: str = "RGB") -> Image.Image:
    """Decode ``file`` and convert it to ``mode`` ('RGB' or 'L').

    EXIF rotation is applied, 16-bit grey is scaled to 8 bits, float grey is taken as 0..1, CMYK is converted,
    transparency is laid over white. Of an animation, the first frame is taken.

    Raises:
        UnreadableImage: Where the file is broken, truncated, not a picture, or over Pillow's pixel limit.
    """
    with _as_unreadable():
        if isinstance(file, Image.Image):
            return to_8_bits(file, mode)
        with Image.open(file) as image:
            return to_8_bits(ImageOps.exif_transpose(image), mode)


def to_8_bits(image: Image.Image, mode: str = "RGB") -> Image.Image:
    """Convert a picture to 8-bit 'RGB' or 'L', as :func:`read_image` does after decoding it.

    16 bits are scaled to 8, float grey is taken as 0..1, and transparency is laid over white. ``atmnet_runtime``, which
    is one file to copy, has the same conversion; tests/data/test_read_image.py compares the two.
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_scale_to_8_bits(np.asarray(image), image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _scale_to_8_bits(values: NDArray[np.generic], mode: str) -> NDArray[np.uint8]:
    highest = values.max(initial=0)
    if mode == "F":
        scale = 255.0 if highest <= 1 else 1.0
    else:
        scale = 1.0 if mode == "I" and highest <= 255 else 1 / 257
    return np.rint(np.clip(np.nan_to_num(values) * scale, 0, 255)).astype(np.uint8)
