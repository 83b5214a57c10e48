"""A part of a split, to train on and to hold out without the validation split."""

from dataclasses import replace
from typing import Any, TypeVar

import torch

from atmnet.data.dataset import Split
from atmnet.data.inventory import Inventory

_Value = TypeVar("_Value")


class Part:
    """Some pictures of a split; everything else, such as its classes, is the split's own.

    Args:
        split: The split.
        indices: The pictures' numbers in it.
    """

    #: A part is drawn here, and not from a list of names in a run's folder.
    own_part = False

    def __init__(self, split: Split, indices: list[int]) -> None:
        self._split, self._indices = split, indices

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # while it is unpickled in a loader process
            raise AttributeError(name)
        return getattr(self._split, name)

    def __len__(self) -> int:
        return len(self._indices)

    def load(self, index: int, mode: str) -> Any:
        """The picture in 'RGB' or 'L', and its target."""
        return self._split.load(self._indices[index], mode)

    def name(self, index: int) -> str:
        """The picture's name."""
        return self._split.name(self._indices[index])

    def inventory(self) -> Inventory:
        """The data of the part."""
        whole = self._split.inventory()
        return replace(whole, names=self._of(whole.names), sizes=self._of(whole.sizes), labels=self._of(whole.labels))

    def _of(self, values: list[_Value]) -> list[_Value]:
        """The values of this part's pictures; none if the split has none."""
        return [values[index] for index in self._indices] if len(values) == len(self._split) else []

    def image_id(self, index: int) -> int:
        """COCO's number of the picture, for splits for detection."""
        split: Any = self._split
        number: int = split.image_id(self._indices[index])
        return number


def hold_out(split: Split, share: float, seed: int) -> tuple[Part, Part]:
    """Divide a split at random into a part to train on and a part that is held out.

    Args:
        split: The split, of at least two pictures.
        share: Share of the pictures that is held out, between 0 and 1; at least one, and not all.
        seed: Seed of the division.
    """
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed)).tolist()
    count = min(max(1, round(share * len(split))), len(split) - 1)
    return Part(split, sorted(order[count:])), Part(split, sorted(order[:count]))
