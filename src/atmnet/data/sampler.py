"""The global order of training images, and each process's share of it; both depend only on counters.

A run is a sequence of steps; a step is a batch of ``batch_size`` consecutive positions in the order of an epoch. These
positions are split into parts of ``local`` positions: part a of process r begins at ``(a * world + r) * local``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from atmnet.data.seeding import derive_seed


@dataclass(frozen=True)
class Key:
    """An image's place in a run: ``index`` in the data set, at ``position`` in the order of ``epoch``."""

    epoch: int
    position: int
    index: int


class StepSampler(Sampler[list[Key]]):
    """Batches of keys for one process, from ``start_step`` to ``total_steps``, across epochs.

    Args:
        length: Images in the data set.
        batch_size: Images in a step, over all processes and parts.
        parts: Parts that each process splits its share into (gradient accumulation).
        seed: Seed of the order.
        repeats: How often each image occurs in a step (repeated augmentation); an epoch then has length / repeats
            different images.
        groups: Numbers of the images of each class, if each class is to come equally often.
        epoch_steps: Steps of an epoch, which passes over the data set as often as they need. Default: the complete
            batches of one pass.
        start_step: First step to yield batches for; each step yields ``parts`` batches.
        total_steps: The step before which to end.
        world: Number of processes.
        rank: Which of the processes this is, from 0.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        parts: int = 1,
        seed: int = 0,
        repeats: int = 1,
        groups: Sequence[torch.Tensor] = (),
        epoch_steps: int | None = None,
        start_step: int = 0,
        total_steps: int,
        world: int = 1,
        rank: int = 0,
    ) -> None:
        self.length, self.batch_size, self.parts, self.seed, self.repeats = length, batch_size, parts, seed, repeats
        self.groups = [group for group in groups if len(group)]
        self.start_step, self.total_steps, self.world, self.rank = start_step, total_steps, world, rank
        self.steps_per_epoch = epoch_steps or length // batch_size
        self.local = batch_size // (world * parts)

    def __len__(self) -> int:
        return (self.total_steps - self.start_step) * self.parts

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, order = -1, torch.empty(0)
        for step in range(self.start_step, self.total_steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self.order(epoch)
            start = (step % self.steps_per_epoch) * self.batch_size
            batch = order[start : start + self.batch_size]
            if self.repeats > 1:
                # Separate the repeats, since Mixup of neighbours would mix an image with itself.
                batch = torch.cat([batch[k :: self.repeats] for k in range(self.repeats)])
            for part in range(self.parts):
                first = self.first_position(part)
                share = batch[first : first + self.local].tolist()
                yield [Key(epoch, start + first + i, index) for i, index in enumerate(share)]

    def first_position(self, part: int) -> int:
        """Position within the step of the first image in a part of this process."""
        return (part * self.world + self.rank) * self.local

    def order(self, epoch: int) -> torch.Tensor:
        """Data set indices in the order of an epoch."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch) % 2**63)
        count = self.steps_per_epoch * self.batch_size
        if self.groups:
            return self._balanced(math.ceil(count / self.repeats), generator).repeat_interleave(self.repeats)[:count]
        orders = [torch.randperm(self.length, generator=generator) for _ in range(math.ceil(count / self.length))]
        return torch.cat([order.repeat_interleave(self.repeats)[: self.length] for order in orders])

    def _balanced(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """``count`` images, equally many of each group but for one, which come again only after all of the group."""
        chosen = []
        order = torch.randperm(len(self.groups), generator=generator).tolist()  # which groups give one more
        for rank, number in enumerate(order):
            group = self.groups[number]
            wanted = count // len(order) + (rank < count % len(order))
            passes = [torch.randperm(len(group), generator=generator) for _ in range(math.ceil(wanted / len(group)))]
            if passes:
                chosen.append(group[torch.cat(passes)[:wanted]])
        images = torch.cat(chosen)
        return images[torch.randperm(len(images), generator=generator)]
