"""Tiny data sets: scikit-learn's handwritten digits as folders of PNG files."""

import io
import struct
import tarfile
import zlib
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

DIGITS = {"eight": 8, "five": 5, "one": 1, "two": 2}
CLASSES = ("eight", "five", "two")
PER_CLASS = {"train": 8, "val": 4}


def write_digits(root: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """Folders of 32x32 grey PNG files, one per class, below ``root``/train (8 each) and ``root``/val (4 each)."""
    digits = load_digits()
    for name in classes:
        pictures = iter(digits.images[digits.target == DIGITS[name]])
        for split, count in PER_CLASS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                grey = Image.fromarray((next(pictures) * 15.9).astype("uint8"))
                grey.resize((32, 32), Image.Resampling.NEAREST).save(folder / f"{name}-{number}.png")
    return root


def pack(folder: Path, archive: Path) -> Path:
    """A tar of what is in ``folder``."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.rglob("*.*")):
            tar.add(path, path.relative_to(folder))
    return archive


def write_shards(folder: Path, pattern: str, classes: tuple[str, ...] = CLASSES) -> None:
    """The pictures of a split as two webdataset shards named by ``pattern`` (with {} for the number)."""
    samples = [(path, label) for label, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
    for number in range(2):
        with tarfile.open(folder.parent / pattern.format(number), "w") as tar:
            for i, (path, label) in enumerate(samples[number::2]):
                for suffix, content in (("png", path.read_bytes()), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{i:04d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims to be of some size, with next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
