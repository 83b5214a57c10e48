"""Webdataset shards with random access: tar files whose members ``KEY.jpg`` and ``KEY.cls`` make a sample.

timm streams such shards, so the order is not fixed, a run cannot be resumed within an epoch, and broken images are
dropped silently. This reader reads the tars' headers once, and then each sample by its offset: order, resume and
evaluation are exact, as for folders. The shards must be uncompressed files on a local or network disk.
"""

import io
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

from atmnet.data.images import EXTENSIONS
from atmnet_cli.errors import UserError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class _Member(NamedTuple):
    shard: Path
    name: str
    offset: int
    size: int


class ShardReader:
    """A timm-style reader: ``reader[i]`` is (file, label).

    Args:
        root: Folder of the shards.
        pattern: Their names, with ``*`` and ``{0000..0063}``; a plain word means ``WORD-*.tar``.
        names: Class names, by the numbers in the .cls files. Default: the numbers.

    Raises:
        UserError: If a shard is missing or unreadable, or an image has no label or a label without a name.
    """

    def __init__(self, root: Path, pattern: str, names: list[str] | None = None) -> None:
        self._images: list[_Member] = []
        self._labels: list[int] = []
        for shard in _expand(root, pattern):
            self._read_headers(shard)
        present = sorted(set(self._labels))
        if present and not 0 <= present[0] <= present[-1] < (len(names) if names else present[-1] + 1):
            raise UserError(f"{root}: labels {present[0]} to {present[-1]}, expected 0 to {len(names or present) - 1}")
        self.class_to_idx = {names[label] if names else str(label): label for label in present}

    def _read_headers(self, shard: Path) -> None:
        images: dict[str, _Member] = {}
        labels: dict[str, int] = {}
        try:
            with tarfile.open(shard, "r:") as tar:
                for member in tar:
                    folder, slash, name = member.name.rpartition("/")
                    stem, _, extension = name.partition(".")
                    key = folder + slash + stem
                    if f".{extension.lower()}" in EXTENSIONS:
                        images[key] = _Member(shard, member.name, member.offset_data, member.size)
                    elif extension == "cls" and (file := tar.extractfile(member)):
                        labels[key] = int(file.read())
        except (OSError, tarfile.TarError, ValueError) as error:
            raise UserError(f"{shard}: not a readable shard: {error}") from error
        if unlabelled := sorted(images.keys() - labels.keys()):
            raise UserError(f"{shard}: {len(unlabelled)} images have no .cls file, e.g. {unlabelled[0]}")
        self._images += images.values()
        self._labels += [labels[key] for key in images]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[io.BytesIO, int]:
        member = self._images[index]
        with member.shard.open("rb") as file:
            file.seek(member.offset)
            return io.BytesIO(file.read(member.size)), self._labels[index]

    def filename(self, index: int, **_: bool) -> str:
        """The image's shard, and its name in it."""
        member = self._images[index]
        return f"{member.shard.name}/{member.name}"

    def inventory(self) -> tuple[list[str], list[int], list[int]]:
        """Names, sizes in bytes and labels of the images."""
        return [self.filename(i) for i in range(len(self))], [member.size for member in self._images], self._labels


def _expand(root: Path, pattern: str) -> list[Path]:
    if not root.is_dir():
        raise UserError(f"data.root: {root}: no such folder")
    if not pattern.endswith(".tar"):
        pattern += "-*.tar"
    if match := _RANGE.search(pattern):
        first, last = match.groups()
        numbers = range(int(first), int(last) + 1)
        paths = [root / f"{pattern[: match.start()]}{n:0{len(first)}}{pattern[match.end() :]}" for n in numbers]
        if missing := [path for path in paths if not path.is_file()]:
            raise UserError(
                f"{root / pattern}: {len(missing)} of {len(paths)} shards are missing, e.g. {missing[0].name}"
            )
    else:
        paths = sorted(root.glob(pattern))
    if not paths:
        raise UserError(f"{root / pattern}: no such shard")
    return paths
