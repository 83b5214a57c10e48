"""Files that visitors may send, good and bad, and what the refusal of each says."""

import io
import struct
import zipfile
import zlib

from PIL import Image

from tests.explore.explorers import picture


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """A picture's file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", encoded(picture()))
    return file.getvalue()


def claimed(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says that it has so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


#: Name -> (content, part of the error). None as an error: it is a picture.
UPLOADS: dict[str, tuple[bytes, str | None]] = {
    "good.png": (encoded(picture()), None),
    "good.jpg": (encoded(picture(200, 120), "JPEG"), None),
    "good.webp": (encoded(picture(90, 90), "WEBP"), None),
    "grey.png": (encoded(picture().convert("L")), None),
    "large.png": (encoded(Image.new("1", (6000, 6600))), None),
    "truncated.jpg": (encoded(picture(200, 120), "JPEG")[:2000], "truncated"),
    "truncated.png": (encoded(picture())[:1000], "truncated"),
    "bomb.png": (encoded(Image.new("1", (9000, 9000))), "at most 40 million"),
    "claimed.png": (claimed(60_000, 60_000), "exceeds limit"),
    "claims-less.png": (claimed(5000, 5000), "truncated"),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "not a picture"),
    "archive.zip": (_archive(), "not a picture"),
    "page.png": (b"<html><script>alert(1)</script></html>", "not a picture"),
    "empty.png": (b"", "got nothing"),
    "postscript.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
}
