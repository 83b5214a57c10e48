"""Webdataset shards with random access: tar files whose members ``KEY.jpg`` and ``KEY.cls`` make a sample.

timm streams such shards, so the order is not fixed, a run cannot be resumed within an epoch, and broken images are
dropped silently. This reader reads the tars' headers once, and then each sample by its offset: order, resume and
evaluation are exact, as for folders. The shards must be uncompressed files on a local or network disk.
"""

import io
import itertools
import re
from pathlib import Path, PurePath

from atmnet.data.archives import Member, read_headers
from atmnet.data.images import EXTENSIONS
from atmnet.data.listing import Listing, is_hidden, natural_key
from atmnet_cli.errors import UserError

_RANGE = re.compile(r"\{([0-9]{1,9})\.\.([0-9]{1,9})\}")
#: Upper limit of the number of shards that a pattern with ranges stands for.
_MAX_SHARDS = 100_000
#: Upper limit of a .cls file, in bytes.
_MAX_LABEL = 64

PART = "further part of a sample: ignored"
UNUSED_LABEL = "label without a picture"


class ShardReader:
    """A timm-style reader: ``reader[i]`` is (file, label).

    Args:
        root: Folder of the shards.
        pattern: Their names, with ``*`` and ``{0000..0063}``; a plain word means ``WORD-*.tar``.
        names: Class names, by the numbers in the .cls files. Default: the numbers.

    Attributes:
        class_to_idx: Class name -> label.
        left_out: See :class:`~atmnet.data.listing.Listing`.

    Raises:
        UserError: If a shard is missing or unreadable, or an image has no label or a label without a name.
    """

    def __init__(self, root: Path, pattern: str, names: list[str] | None = None) -> None:
        self._images: list[Member] = []
        self._labels: list[int] = []
        listing = Listing()
        for shard in _expand(root, pattern):
            self._read_shard(shard, listing)
        present = sorted(set(self._labels))
        if present and not 0 <= present[0] <= present[-1] < (len(names) if names else present[-1] + 1):
            raise UserError(f"{root}: labels {present[0]} to {present[-1]}, expected 0 to {len(names or present) - 1}")
        self.class_to_idx = {names[label] if names else str(label): label for label in present}
        self.left_out = dict(listing.left_out)

    def _read_shard(self, shard: Path, listing: Listing) -> None:
        images: dict[str, Member] = {}
        labels: dict[str, int] = {}
        for member in read_headers(shard, listing):
            stem, dot, ending = member.name.rpartition(".")
            ending = ending.lower()
            is_picture = f"{dot}{ending}" in EXTENSIONS
            if (is_picture and stem in images) or (ending == "cls" and stem in labels):
                kind = "pictures" if is_picture else "labels"
                raise UserError(f"{shard}: the sample {stem!r} has two {kind}; expected one KEY.jpg and one KEY.cls")
            if is_picture:
                images[stem] = member
            elif ending == "cls":
                labels[stem] = _label(shard, member)
            else:
                listing.leave_out(f"{shard.name}/{member.name}")
        # Webdataset ends a key at the first dot, so that KEY.mask.png is a part of the sample KEY.
        parts = [key for key in images.keys() - labels.keys() if _first_key(key) in images.keys() & labels.keys()]
        for key in sorted(parts, key=natural_key):
            listing.left_out[PART].append(f"{shard.name}/{images.pop(key).name}")
        if unlabelled := sorted(images.keys() - labels.keys()):
            raise UserError(f"{shard}: {len(unlabelled)} images have no .cls file, e.g. {unlabelled[0]}")
        for key in sorted(labels.keys() - images.keys(), key=natural_key):
            listing.left_out[UNUSED_LABEL].append(f"{shard.name}/{key}.cls")
        self._images += images.values()
        self._labels += [labels[key] for key in images]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[io.BytesIO, int]:
        return io.BytesIO(self._images[index].read()), self._labels[index]

    def filename(self, index: int) -> str:
        """The image's shard, and its name in it."""
        member = self._images[index]
        return f"{member.archive.name}/{member.name}"

    def inventory(self) -> tuple[list[str], list[int], list[int]]:
        """Names, sizes in bytes and labels of the images."""
        return [self.filename(i) for i in range(len(self))], [member.size for member in self._images], self._labels


def _first_key(stem: str) -> str:
    """The key that webdataset gives to a member: the name up to the first dot behind the folders."""
    folder, slash, name = stem.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _label(shard: Path, member: Member) -> int:
    try:
        text = member.read(_MAX_LABEL).decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{shard}: not a readable shard: {member.name}: {error}") from error
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UserError(f"{shard}: not a readable shard: {member.name} contains {text!r}, expected the label's number")
    return int(text)


def _expand(root: Path, pattern: str) -> list[Path]:
    if not root.is_dir():
        raise UserError(f"data.root: {root}: no such folder")
    if not pattern.endswith(".tar"):
        pattern += "-*.tar"
    if PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts or "\0" in pattern:
        raise UserError(f"{pattern!r}: expected names of shards within data.root, {root}")
    pieces = _RANGE.split(pattern)  # text, first, last, text, first, last, ..., text
    texts, firsts, lasts = pieces[::3], pieces[1::3], pieces[2::3]
    if any("{" in text or "}" in text for text in texts):
        raise UserError(f"{pattern}: expected ranges of numbers such as {{0000..0063}}")
    count = 1
    for first, last in zip(firsts, lasts, strict=True):
        count *= int(last) - int(first) + 1
        if not 0 < count <= _MAX_SHARDS:
            raise UserError(
                f"{pattern}: the range {{{first}..{last}}} "
                + (f"makes over {_MAX_SHARDS:,} shards" if count > 0 else "counts down")
                + "; expected {FIRST..LAST} as in {0000..0063}"
            )
    if not firsts:
        try:
            paths = sorted(
                (path for path in root.glob(pattern) if not is_hidden(path.name)),
                key=lambda path: natural_key(str(path)),
            )
        except (ValueError, NotImplementedError, IndexError) as error:
            raise UserError(f"{pattern}: not a pattern of names: {error}") from error
    else:
        numbers = [
            [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
            for first, last in zip(firsts, lasts, strict=True)
        ]
        paths = [
            root / "".join(itertools.chain(*zip(texts, [*chosen, ""], strict=True)))
            for chosen in itertools.product(*numbers)
        ]
        if missing := [path for path in paths if not path.is_file()]:
            raise UserError(
                f"{root / pattern}: {len(missing)} of {len(paths)} shards are missing, e.g. {missing[0].name}"
            )
    if not paths:
        raise UserError(f"{root / pattern}: no such shard")
    return paths
