"""PNG files that Pillow does not write, made by hand: any depth, kind of colour, and chunk."""

import struct
import zlib

from numpy.typing import NDArray

GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2}
#: First column and row, and steps, of the seven passes of an interlaced file.
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def encode_png(values: NDArray, bits: int, kind: int = GREY, interlaced: bool = False, **chunks: bytes) -> bytes:
    """A file with ``values`` (H, W) or (H, W, C) as they are, in ``bits`` bits; ``chunks`` come before the pixels."""
    values = values.reshape(*values.shape[:2], _CHANNELS[kind])
    height, width = values.shape[:2]
    parts = [values[y0::dy, x0::dx] for x0, y0, dx, dy in _ADAM7] if interlaced else [values]
    rows = b"".join(b"\0" + _packed(row, bits) for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    if kind == PALETTE:
        chunks = {"PLTE": bytes(range(256))[: 2**bits][::-1] * 3, **chunks}
    body = [("IHDR", header), *chunks.items(), ("IDAT", zlib.compress(rows)), ("IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name.encode(), data) for name, data in body)


def _packed(row: NDArray, bits: int) -> bytes:
    if bits == 16:
        return row.astype(">u2").tobytes()
    digits = "".join(f"{value:0{bits}b}" for value in row.ravel().tolist())
    digits += "0" * (-len(digits) % 8)
    return bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
