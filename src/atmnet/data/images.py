"""Open any picture file as 8-bit grey or RGB, the way a person sees it."""

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import IO

from PIL import Image, ImageOps, UnidentifiedImageError

from atmnet_runtime import plain

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
            return plain(file, mode)
        with Image.open(file) as image:
            return plain(ImageOps.exif_transpose(image), mode)
