"""Samples of positions that a detector learns from: drawn by each image's own seed, and counted.

A loss that is a mean over samples can be made one over the samples of all processes if their numbers are known.
"""

import random
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler


class Counter(Protocol):
    """What knows over how many things a detector's losses are means."""

    def start(self, seeds: Sequence[int]) -> None:
        """To be called before a forward in training, with a seed for each image: forget all counts."""

    def counts(self) -> dict[str, Tensor]:
        """For each loss that it knows of, by name: over how many things it was a mean, a number on its device."""


class PositionSampler(BalancedPositiveNegativeSampler):
    """torchvision's sampler of positive and negative positions, with randomness that does not depend on the batch.

    What is drawn for an image follows from its seed, ``stream`` and the number of calls since :meth:`start`; whichever
    images share its batch or its process. Without seeds it draws from the global generator, as torchvision does.

    Args:
        batch_size_per_image: Positions to draw for each image.
        positive_fraction: Largest share of positives.
        per_position: Names of losses that are means over all positions drawn.
        per_positive: Names of losses that are means over the positives drawn.
        stream: Tells samplers of a model apart, which have the same seeds.

    Attributes:
        seeds: A seed for each image of the batches to come, or None.
        positives: Positives drawn in the latest call, over all images; a 0-dim tensor.
        total: Positions drawn in it.
    """

    def __init__(
        self,
        batch_size_per_image: int,
        positive_fraction: float,
        *,
        per_position: Sequence[str] = (),
        per_positive: Sequence[str] = (),
        stream: int = 0,
    ) -> None:
        super().__init__(batch_size_per_image, positive_fraction)
        self.per_position = tuple(per_position)
        self.per_positive = tuple(per_positive)
        self.stream = stream
        self.seeds: list[int] | None = None
        self.positives = self.total = torch.tensor(0)
        self._calls = 0

    def start(self, seeds: Sequence[int]) -> None:
        """Draw by these seeds from now on; see :class:`Counter`."""
        self.seeds = list(seeds)
        self.positives = self.total = torch.tensor(0)
        self._calls = 0

    def counts(self) -> dict[str, Tensor]:
        """See :class:`Counter`."""
        return dict.fromkeys(self.per_position, self.total) | dict.fromkeys(self.per_positive, self.positives)

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """For each image: positions (N,), > 0 positive, 0 negative, -1 ignored -> masks (N,) of both kinds drawn.

        Raises:
            ValueError: If there is not one seed for each image.
        """
        if self.seeds is None:
            positive, negative = super().__call__(matched_idxs)
        else:
            if len(self.seeds) != len(matched_idxs):
                raise ValueError(f"seeds: got {len(self.seeds)}, expected one for each of {len(matched_idxs)} images")
            drawn = [self._draw(labels, seed) for labels, seed in zip(matched_idxs, self.seeds, strict=True)]
            positive, negative = [pair[0] for pair in drawn], [pair[1] for pair in drawn]
        self._calls += 1
        self.positives = torch.stack([mask.sum() for mask in positive]).sum()
        self.total = self.positives + torch.stack([mask.sum() for mask in negative]).sum()
        return positive, negative

    def _draw(self, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        mixed = random.Random(f"{seed} {self.stream} {self._calls}").getrandbits(63)
        with torch.random.fork_rng([labels.device] if labels.is_cuda else []):
            torch.manual_seed(mixed)
            (positive,), (negative,) = super().__call__([labels])
        return positive, negative
