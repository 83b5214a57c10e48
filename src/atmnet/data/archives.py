"""The headers of tar files: where each member's bytes are, so that samples are read by their offset.

Only headers are read, with limits, since archives come from other people: whatever a header claims, nothing larger than
a header is allocated for it.
"""

import io
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from atmnet.data.listing import BROKEN_LINK, HIDDEN, SPECIAL, Listing, is_hidden
from atmnet_cli.errors import UserError, first_line

#: Upper limit of what one header may occupy, in bytes: long names and extended attributes.
_MAX_HEADER = 2**20
#: Upper limit of a member that is read into memory, in bytes; pictures at Pillow's limit have about 1 GiB of pixels.
_MAX_MEMBER = 2 * 2**30


class Member(NamedTuple):
    """A file in a tar file: its name there, and where its bytes are."""

    archive: Path
    name: str
    offset: int
    size: int

    def read(self, max_bytes: int = _MAX_MEMBER) -> bytes:
        """The file's content.

        Raises:
            OSError: If it is larger than ``max_bytes``, or the archive cannot be read.
        """
        if self.size > max_bytes:
            raise OSError(f"{self.archive.name}/{self.name}: got {self.size:,} bytes, expected at most {max_bytes:,}")
        with self.archive.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def read_headers(archive: Path, listing: Listing, within: Member | None = None) -> list[Member]:
    """The files in an uncompressed tar file, in its order; links to files in it count as files of their own names.

    Args:
        archive: The tar file.
        listing: Notes what is left out: hidden files, and links and devices, which have no content in the archive.
        within: A tar file in ``archive`` to read instead.

    Raises:
        UserError: If it is not such a tar file, is cut short, or has sizes that cannot be.
    """
    files: dict[str, Member] = {}
    members: list[Member] = []
    where = str(archive) if within is None else f"{archive}/{within.name}"
    try:
        with archive.open("rb") as file:
            start, size = (0, archive.stat().st_size) if within is None else within[2:]
            for header in _headers(file, start, size):
                name = header.name
                if any(is_hidden(part) for part in name.split("/") if part not in (".", "..")):
                    if not header.isdir():
                        listing.left_out[HIDDEN].append(name)
                    continue
                if header.isreg():
                    members.append(Member(archive, name, start + header.offset_data, header.size))
                    files[posixpath.normpath(name)] = members[-1]
                elif header.islnk() or header.issym():
                    folder = posixpath.dirname(name) if header.issym() else ""
                    target = files.get(posixpath.normpath(posixpath.join(folder, header.linkname)))
                    if target is None:
                        listing.left_out[BROKEN_LINK].append(name)
                    else:
                        members.append(target._replace(name=name))
                elif not header.isdir():
                    listing.left_out[SPECIAL].append(name)
    except (OSError, tarfile.TarError, ValueError, OverflowError, MemoryError) as error:
        raise UserError(f"{where}: not a readable tar file: {first_line(error)}") from error
    return members


def _headers(file: io.BufferedReader, start: int, size: int) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar file that lies in ``file`` from ``start`` on; checked to advance and to stay within it."""
    end = -1
    with tarfile.open(fileobj=_Window(file, start, size), mode="r:") as tar:  # type: ignore[call-overload]
        while (header := tar.next()) is not None:
            tar.members.clear()  # tarfile would keep all of them
            if header.issparse() or header.type == tarfile.CONTTYPE:
                raise tarfile.ReadError(f"{header.name}: sparse members are not read; pack the files as they are")
            if header.offset <= end:
                raise tarfile.ReadError(f"{header.name}: its header is not behind the one before it")
            if header.size < 0 or (header.isreg() and header.offset_data + header.size > size):
                raise tarfile.ReadError(
                    f"{header.name}: its size is {header.size}, but the archive ends {size - header.offset_data} bytes "
                    "after its header"
                )
            end = header.offset
            yield header
        file.seek(start + tar.offset)
        if file.read(min(tarfile.BLOCKSIZE, size - tar.offset)).strip(b"\0"):  # else tarfile ends without a word
            raise tarfile.ReadError(f"damaged header at byte {tar.offset}")


class _Window:
    """Part of an open file, as a file of which no more than a header can be read at once."""

    def __init__(self, file: io.BufferedReader, start: int, size: int) -> None:
        self._file, self._start, self._size, self._position = file, start, size, 0

    def read(self, count: int) -> bytes:
        if not 0 <= count <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {count} bytes")
        self._file.seek(self._start + self._position)
        content = self._file.read(max(min(count, self._size - self._position), 0))
        self._position += len(content)
        return content

    def seek(self, position: int, _: int = 0) -> int:
        if position < 0:
            raise tarfile.ReadError(f"a header at {position}")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position
