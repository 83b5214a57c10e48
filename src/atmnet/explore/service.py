"""What the app computes for its visitors, one picture at a time and within limits, and keeps until they leave."""

import io
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from atmnet.data.images import UnreadableImage, open_picture
from atmnet.explore.exploration import Exploration, Explorer
from atmnet.explore.sizes import LARGEST
from atmnet_cli.errors import UserError

MAX_BYTES = 20 * 2**20
"""Largest file of a picture."""

MAX_PIXELS = 40_000_000
"""Largest number of pixels of a picture; checked before it is decoded."""

MAX_WAITING = 32
"""Maximum number of requests that wait for their turn; further ones are refused."""

_MAX_KEPT = 32
"""Maximum number of results that are kept, over all visitors; the oldest go first."""


class Upload(NamedTuple):
    """A picture of a visitor: its file or content, and its name, which may be any text."""

    file: Path | bytes
    name: str


class Service:
    """Explores pictures of visitors, one after the other.

    Args:
        explorers: The networks, one or two, by the names that visitors know them by.
    """

    def __init__(self, explorers: dict[str, Explorer]) -> None:
        self.explorers = explorers
        self._turn = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, list[Exploration]]] = OrderedDict()
        self._keeping = threading.Lock()

    def explore(self, uploads: Sequence[Upload], models: Sequence[str], size: int | None = None) -> list[Exploration]:
        """Run models on pictures; the result has all models of a picture beside each other.

        Args:
            uploads: The pictures.
            models: Names of :attr:`explorers`.
            size: Size in pixels to take the pictures at. Default: each network's own.

        Raises:
            UserError: If a model is unknown, or a picture too large or not readable; names it.
        """
        unknown = [name for name in models if name not in self.explorers]
        if unknown or not models:
            got = ", ".join(unknown) or "none"
            raise UserError(f"model: got {got:.80}, expected one of {', '.join(self.explorers)}")
        smallest = min(32, *(self.explorers[name].default_size for name in models))
        largest = max(LARGEST, *(self.explorers[name].default_size for name in models))
        if size is not None and not smallest <= size <= largest:
            raise UserError(f"size: got {size}, expected {smallest} to {largest} pixels")
        for upload in uploads:
            check_picture(upload)
        with self._turn:
            return [self.explorers[name](_source(upload), upload.name, size) for upload in uploads for name in models]

    def keep(self, visitor: str, explorations: list[Exploration]) -> str:
        """Keep a visitor's latest result, and return the token that it can be fetched by, which cannot be guessed."""
        token = secrets.token_urlsafe(24)
        with self._keeping:
            self._forget(visitor)
            self._kept[token] = (visitor, explorations)
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return token

    def kept(self, token: str) -> list[Exploration] | None:
        """The result of a token; None if it is no longer kept."""
        with self._keeping:
            return self._kept[token][1] if token in self._kept else None

    def forget(self, visitor: str) -> None:
        """Delete the result of a visitor who left."""
        with self._keeping:
            self._forget(visitor)

    def _forget(self, visitor: str) -> None:
        for token in [token for token, (other, _) in self._kept.items() if other == visitor]:
            del self._kept[token]


def check_picture(upload: Upload) -> None:
    """Refuse a picture that is too large or not one at all, without decoding it.

    Raises:
        UserError: If it is; names the picture.
    """
    try:
        count = len(upload.file) if isinstance(upload.file, bytes) else upload.file.stat().st_size
    except OSError as error:
        raise UserError(f"{upload.name:.80}: no longer here; upload it again") from error
    if count > MAX_BYTES:
        raise UserError(f"{upload.name:.80}: {count / 2**20:.1f} MB; a picture has at most {MAX_BYTES // 2**20} MB")
    try:
        with open_picture(_source(upload)) as image:
            width, height = image.size
    except UnreadableImage as error:
        raise UserError(f"{upload.name:.80}: {error}") from error
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{upload.name:.80}: {width} x {height} pixels; a picture has at most {MAX_PIXELS // 10**6} million"
        )


def _source(upload: Upload) -> Path | io.BytesIO:
    return io.BytesIO(upload.file) if isinstance(upload.file, bytes) else upload.file
