"""Labelled pictures in a folder or in tar files, by the rule of :mod:`atmnet.data.listing`."""

import io
import os
from pathlib import Path

from atmnet.data.archives import Member, read_headers
from atmnet.data.images import EXTENSIONS
from atmnet.data.inventory import file_sizes
from atmnet.data.listing import Listing, is_hidden, list_pictures, natural_key
from atmnet_cli.errors import UserError


def number_classes(names: set[str]) -> dict[str, int]:
    """Class name -> label, in natural order."""
    return {name: label for label, name in enumerate(sorted(names, key=natural_key))}


class FolderReader:
    """Pictures in one folder per class; ``reader[i]`` is (open file, label).

    Args:
        path: The folder of the class folders.

    Attributes:
        class_to_idx: Class name -> label; '' stands for pictures outside of class folders.
        samples: Path and label of each picture.
        left_out: See :class:`~atmnet.data.listing.Listing`.

    Raises:
        UserError: If there are no pictures, or a class folder has sub-folders of pictures.
    """

    def __init__(self, path: Path) -> None:
        listing = list_pictures(path) if path.is_dir() else Listing()
        if not listing.pictures:
            raise UserError(
                f"{path}: no images found; expected one folder per class, {' '.join(EXTENSIONS)}"
                + "".join(f"; {kind}: {len(names)}" for kind, names in sorted(listing.left_out.items()))
            )
        folders = [os.path.dirname(name) for name in listing.pictures]
        for folder in folders:
            if os.sep in folder:
                raise UserError(f"{path}: images in {folder}; expected CLASS/IMAGE, no folders below")
        self.class_to_idx = number_classes(set(folders))
        self.left_out = dict(listing.left_out)
        self.samples = [
            (os.path.join(path, name), self.class_to_idx[folder])
            for name, folder in zip(listing.pictures, folders, strict=True)
        ]
        self._names = listing.pictures

    def keep(self, names: set[str]) -> None:
        """Keep only the pictures of these names; the classes stay."""
        kept = [index for index, name in enumerate(self._names) if name in names]
        self.samples = [self.samples[index] for index in kept]
        self._names = [self._names[index] for index in kept]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[io.BufferedReader, int]:
        path, label = self.samples[index]
        return open(path, "rb"), label

    def filename(self, index: int) -> str:
        """The picture's path within the folder."""
        return self._names[index]

    def inventory(self) -> tuple[list[str], list[int], list[int]]:
        """Names, sizes in bytes and labels of the pictures."""
        paths, labels = [path for path, _ in self.samples], [label for _, label in self.samples]
        return self._names, file_sizes(paths), labels


class TarReader:
    """Pictures in tar files, as timm labels them: by their innermost folder, else by their tar file.

    Args:
        path: A tar file, which may contain a tar file for each class, or a folder of tar files.

    Attributes:
        class_to_idx: Class name -> label; '' stands for pictures outside of class folders.
        left_out: See :class:`~atmnet.data.listing.Listing`.

    Raises:
        UserError: If there are no tar files or no pictures, or a tar file is damaged.
    """

    def __init__(self, path: Path) -> None:
        archives = [path] if path.is_file() else _archives(path)
        listing = Listing()
        samples: list[tuple[Member, str]] = []
        for archive in archives:
            label = "" if path.is_file() else archive.stem
            for member in read_headers(archive, listing):
                folder, name = os.path.split(member.name)
                if name.lower().endswith(".tar"):
                    inner = os.path.join(label, name[: -len(".tar")])
                    for each in read_headers(archive, listing, member):
                        _add(samples, listing, each, os.path.join(inner, os.path.dirname(each.name)))
                else:
                    _add(samples, listing, member, os.path.join(label, folder))
        if not samples:
            raise UserError(
                f"{path}: no images found in it; expected {' '.join(EXTENSIONS)}"
                + "".join(f"; {kind}: {len(names)}" for kind, names in sorted(listing.left_out.items()))
            )
        samples.sort(key=lambda sample: natural_key(sample[0].name))
        self.class_to_idx = number_classes({folder for _, folder in samples})
        self.left_out = dict(listing.left_out)
        self._members = [member for member, _ in samples]
        self._labels = [self.class_to_idx[folder] for _, folder in samples]

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int) -> tuple[io.BytesIO, int]:
        return io.BytesIO(self._members[index].read()), self._labels[index]

    def filename(self, index: int) -> str:
        """The picture's name in its tar file."""
        return self._members[index].name

    def inventory(self) -> tuple[list[str], list[int], list[int]]:
        """Names, sizes in bytes and labels of the pictures."""
        return [member.name for member in self._members], [member.size for member in self._members], self._labels


def _archives(path: Path) -> list[Path]:
    names = [name for name in os.listdir(path) if name.endswith(".tar") and not is_hidden(name)]
    if not names:
        raise UserError(f"{path}: no tar files found in it; expected NAME.tar")
    return [path / name for name in sorted(names, key=natural_key)]


def _add(samples: list[tuple[Member, str]], listing: Listing, member: Member, folder: str) -> None:
    if member.name.lower().endswith(EXTENSIONS):
        innermost = os.path.basename(folder.strip(os.sep))
        samples.append((member, "" if innermost in (".", "..") else innermost))
    else:
        listing.leave_out(member.name)
