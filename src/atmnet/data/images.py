"""Open any picture file as 8-bit grey or RGB, as an image viewer shows it."""

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

#: Exceptions that Pillow's decoders raise on broken files.
BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class UnreadableImage(Exception):
    """A picture that cannot be decoded; the message says why."""


@contextlib.contextmanager
def _as_unreadable() -> Iterator[None]:
    with warnings.catch_warnings():
        # Pillow warns from half of its pixel limit on and raises an error beyond it; only the error matters here.
        warnings.simplefilter("ignore")
        try:
            yield
        except UnidentifiedImageError as error:
            raise UnreadableImage("not a picture, or too damaged to be recognised as one") from error
        except BROKEN as error:
            raise UnreadableImage(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def read_image(file: str | IO[bytes] | Image.Image, mode: str = "RGB") -> Image.Image:
    """Decode ``file`` and convert it to ``mode`` ('RGB' or 'L').

    EXIF rotation is applied, 16-bit grey is scaled to 8 bits, float grey is taken as 0..1, CMYK is converted,
    transparency is laid over white. The first frame of an animation is used.

    Raises:
        UnreadableImage: If the file is broken, truncated, not a picture, or over Pillow's pixel limit.
    """
    with _as_unreadable():
        if isinstance(file, Image.Image):
            return to_8_bits(file, mode)
        with Image.open(file) as image:
            return to_8_bits(ImageOps.exif_transpose(image), mode)


def to_8_bits(image: Image.Image, mode: str = "RGB") -> Image.Image:
    """Convert a picture to 8-bit 'RGB' or 'L', as :func:`read_image` does after decoding it.

    16 bits are scaled to 8, float grey is taken as 0..1, and transparency is laid over white. ``atmnet_runtime``, a
    single file without imports from this package, repeats this conversion; tests/data/test_read_image.py compares the
    two.
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
    scaled: NDArray[np.uint8] = np.rint(np.clip(np.nan_to_num(values) * scale, 0, 255)).astype(np.uint8)
    return scaled
