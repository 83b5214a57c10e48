"""Images as tensors, for training (seeded by position) and evaluation (never substituted).

Shapes: B images, C channels, h x w pixels after the transform.
"""

import random
import signal
from collections.abc import Callable, Sequence
from typing import NamedTuple

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from atmnet.data.images import UnreadableImage
from atmnet.data.sampler import Key
from atmnet.data.seeding import reseed
from atmnet.data.source import Source

#: Other images to try in place of an unreadable one.
_TRIES = 10


class Sample(NamedTuple):
    """One image; ``unreadable`` lists 'name (why)' of those that could not be read on the way to it."""

    image: Tensor
    target: int
    unreadable: list[str]


class Batch(NamedTuple):
    """Images (B, C, h, w), targets (B,), and the unreadable images met."""

    images: Tensor
    targets: Tensor
    unreadable: list[str]


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples to a batch."""
    images, targets = default_collate([(sample.image, sample.target) for sample in samples])
    return Batch(images, targets, [name for sample in samples for name in sample.unreadable])


class TrainSet(Dataset[Sample]):
    """Augmented images: what comes out is a function of (seed, key) alone.

    An unreadable image is skipped: another one, drawn by the same seed, takes its place, and the sample names it.
    """

    def __init__(self, source: Source, transform: Callable[[Image.Image], Tensor], mode: str, seed: int) -> None:
        self.source, self.transform, self.mode, self.seed = source, transform, mode, seed

    def __getitem__(self, key: Key) -> Sample:
        reseed(self.seed, key.epoch, key.position)
        index = key.index
        unreadable: list[str] = []
        for _ in range(_TRIES):
            try:
                image, target = self.source.load(index, self.mode)
                return Sample(self.transform(image), target, unreadable)
            except UnreadableImage as error:
                unreadable.append(f"{self.source.name(index)} ({error})")
                index = random.randrange(len(self.source))
        return Sample(self.transform(Image.new(self.mode, (32, 32))), 0, unreadable)


class EvalSet(Dataset[Sample]):
    """Images in order. An unreadable one comes out blank and named, and is the evaluation's to refuse."""

    def __init__(self, source: Source, transform: Callable[[Image.Image], Tensor], mode: str) -> None:
        self.source, self.transform, self.mode = source, transform, mode

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        try:
            image, target = self.source.load(index, self.mode)
            return Sample(self.transform(image), target, [])
        except UnreadableImage as error:
            blank = Image.new(self.mode, (32, 32))
            return Sample(self.transform(blank), 0, [f"{self.source.name(index)} ({error})"])


def worker_init(_: int) -> None:
    """Leave Ctrl-C and a scheduler's SIGTERM to the training process: it saves, and then lets its workers go."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
