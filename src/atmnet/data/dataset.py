"""Images as tensors, for training (seeded by position) and evaluation (never substituted).

Shapes: B images, C channels, h x w pixels after the transform.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from atmnet.data.images import UnreadableImage
from atmnet.data.inventory import Inventory
from atmnet.data.sampler import Key
from atmnet.data.seeding import reseed

Transform = Callable[[Image.Image, Any], tuple[Tensor, Any]]

#: Images to try, an unreadable one included, before a blank sample is used.
_TRIES = 10


class Split(Protocol):
    """A part of a data set: pictures by number, each with a target for the task.

    Splits for detection also have ``image_id(index)`` and ``category_ids``, the ids of the classes in COCO's files.
    """

    classes: list[str]

    def __len__(self) -> int:
        """The number of pictures."""

    def load(self, index: int, mode: str) -> tuple[Image.Image, Any]:
        """The picture in 'RGB' or 'L', and its target.

        Raises:
            UnreadableImage: If the picture cannot be decoded.
        """

    def blank(self, mode: str) -> tuple[Image.Image, Any]:
        """A blank sample, used when no picture can be read."""

    def name(self, index: int) -> str:
        """The picture's file name, relative to the split."""

    def inventory(self) -> Inventory:
        """What the data are, by which a run that resumes sees whether they have changed."""


class Sample(NamedTuple):
    """One image; ``unreadable`` lists the images that could not be read and that it replaces, as 'name (reason)'."""

    image: Tensor
    target: Any
    unreadable: list[str]


class Batch(NamedTuple):
    """Images and targets, and the names of unreadable images.

    Images and targets are tensors with a leading axis B, or lists if they differ in size.
    """

    images: Any
    targets: Any
    unreadable: list[str]


#: Combines samples into a batch.
Collate = Callable[[Sequence[Sample]], Batch]


def stack_samples(samples: Sequence[Sample]) -> Batch:
    """A batch of samples of one size: images (B, C, h, w), targets (B, ...)."""
    images, targets = default_collate([(sample.image, sample.target) for sample in samples])
    return Batch(images, targets, _unreadable(samples))


def list_samples(samples: Sequence[Sample]) -> Batch:
    """A batch of samples that differ in size: a list of images, and one of targets."""
    return Batch([sample.image for sample in samples], [sample.target for sample in samples], _unreadable(samples))


def _unreadable(samples: Sequence[Sample]) -> list[str]:
    return [name for sample in samples for name in sample.unreadable]


def to_device(value: Any, device: torch.device) -> Any:
    """Copy a tensor, a target, or a list of them to ``device``."""
    if isinstance(value, list):
        return [to_device(item, device) for item in value]
    return value.to(device, non_blocking=True)


class OnImage:
    """Applies a transform to the picture and leaves the target unchanged."""

    def __init__(self, transform: Callable[[Image.Image], Tensor]) -> None:
        self.transform = transform

    def __call__(self, image: Image.Image, target: Any) -> tuple[Tensor, Any]:
        return self.transform(image), target


class TrainSet(Dataset[Sample]):
    """Augmented images; a sample depends only on (seed, key).

    An unreadable image is replaced by another one, drawn with the same seed, and the sample names it.
    """

    def __init__(self, source: Split, transform: Transform, mode: str, seed: int) -> None:
        self.source, self.transform, self.mode, self.seed = source, transform, mode, seed

    def __getitem__(self, key: Key) -> Sample:
        reseed(self.seed, key.epoch, key.position)
        index = key.index
        unreadable: list[str] = []
        for _ in range(_TRIES):
            try:
                return Sample(*self.transform(*self.source.load(index, self.mode)), unreadable)
            except UnreadableImage as error:
                unreadable.append(f"{self.source.name(index)} ({error})")
                index = random.randrange(len(self.source))
        return Sample(*self.transform(*self.source.blank(self.mode)), unreadable)


class EvalSet(Dataset[Sample]):
    """Images in order. An unreadable image yields a blank sample that names it, which the evaluation then refuses."""

    def __init__(self, source: Split, transform: Transform, mode: str) -> None:
        self.source, self.transform, self.mode = source, transform, mode

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        try:
            return Sample(*self.transform(*self.source.load(index, self.mode)), [])
        except UnreadableImage as error:
            blank = self.transform(*self.source.blank(self.mode))
            return Sample(*blank, [f"{self.source.name(index)} ({error})"])
