"""Draws the positions that a detector is trained on, by a seed for each image, and counts them.

With the counts of all processes, a mean over the samples of one process can be turned into a mean over all samples.
"""

import random
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler


class SampleCounter(Protocol):
    """A part of a detector that counts the samples which losses are averaged over."""

    def start(self, seeds: Sequence[int]) -> None:
        """Reset the counts and set a seed for each image. To be called before each forward pass in training."""

    def counts(self) -> dict[str, Tensor]:
        """Loss name -> number of samples that the loss was averaged over, a 0-dim tensor."""


class PositionSampler(BalancedPositiveNegativeSampler):
    """torchvision's sampler of positive and negative positions, with randomness that does not depend on the batch.

    The positions of an image depend only on its seed, ``stream`` and the number of calls since :meth:`start`, not on
    the other images in its batch or process. Without seeds they come from the global generator, as in torchvision.

    Args:
        batch_size_per_image: Positions to draw for each image.
        positive_fraction: Maximum fraction of positives.
        per_position: Names of losses that are means over all drawn positions.
        per_positive: Names of losses that are means over the drawn positives.
        stream: A number that differs between the samplers of a model, which get the same seeds.

    Attributes:
        seeds: A seed for each image of the next batches, or None.
        positives: Number of positives drawn in the latest call, over all images; a 0-dim tensor.
        total: Number of positions drawn in the latest call; a 0-dim tensor.
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
        """Reset the counts and use these seeds, one for each image, in the calls that follow."""
        self.seeds = list(seeds)
        self.positives = self.total = torch.tensor(0)
        self._calls = 0

    def counts(self) -> dict[str, Tensor]:
        """Loss name -> number of positions or positives that were drawn in the latest call."""
        return dict.fromkeys(self.per_position, self.total) | dict.fromkeys(self.per_positive, self.positives)

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Draw positions of each image.

        Args:
            matched_idxs: For each image a tensor (N,): positive if > 0, negative if 0, ignored if -1.

        Returns:
            For each image a mask (N,) of the positives drawn, and for each a mask of the negatives drawn.

        Raises:
            ValueError: If the number of seeds is not the number of images.
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
        derived_seed = random.Random(f"{seed} {self.stream} {self._calls}").getrandbits(63)
        with torch.random.fork_rng([labels.device] if labels.is_cuda else []):
            torch.manual_seed(derived_seed)
            (positive,), (negative,) = super().__call__([labels])
        return positive, negative
