"""The largest batch that fits into memory, measured by training steps before a run begins.

Each process measures for itself, before the processes join: the loss of a detector or segmenter sums over processes,
and one that runs out of memory would let the others wait.
"""

import gc
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from atmnet.data import Batch, Sample, image_mode, reseed
from atmnet.data.dataset import Split, TrainSet
from atmnet.data.own import Splits
from atmnet.data.sampler import Key
from atmnet.engine.checkpoint import latest_checkpoint
from atmnet.engine.distributed import Group, gather_over_processes, own_device
from atmnet.engine.free_memory import available_memory, peak_memory, reset_peak, resident_memory
from atmnet.engine.freezing import freeze, hold
from atmnet.engine.loss import batch_loss
from atmnet.engine.recorded import read_run
from atmnet.engine.setup import build_average, build_optimizer
from atmnet.engine.trial import check_shapes
from atmnet.tasks import open_training, start_task
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions

#: A batch has at most so many images, and at most this share of the training images if those are more than _FEW:
#: larger ones make the steps few and hardly faster.
_MOST, _SHARE, _FEW = 1024, 20, 32
#: The share of free memory that a step may take. On a CPU, the rest is for the loader processes and for evaluations.
_SAFE = {"cuda": 0.9, "cpu": 0.75}
#: Training images among which the largest are looked for.
_SAMPLES = 32
_GB = 1e9


class Share(NamedTuple):
    """The images that a process can take at once, and the memory in bytes that they need and that a step may take."""

    images: int
    needed: float
    limit: float


def recorded_batch(options: TrainOptions) -> TrainOptions:
    """The options of a run that resumes with ``auto_batch``, with the batch size that it has recorded."""
    folder = Path(options.output)
    if not options.auto_batch or latest_checkpoint(folder) is None:
        return options
    return replace(options, batch_size=read_run(folder)["batch_size"])


def measure_share(options: TrainOptions, splits: Splits | None = None) -> Share:
    """Measure how many images this process can take at once, by training steps on copies of the largest images.

    Raises:
        UserError: If not even the smallest number fits, or the device's memory cannot be measured.
    """
    device = own_device(options.device)
    if device.type not in _SAFE or (device.type == "cpu" and available_memory() is None):
        raise UserError(
            f"auto_batch: memory can be measured on CUDA devices and, on Linux, on the CPU, not on {device} here; give "
            "a batch_size instead"
        )
    split = open_training(options) if splits is None else splits.train
    world = int(os.environ.get("WORLD_SIZE", "1"))
    most = max(min(_FEW, len(split)), min(_MOST, len(split) // _SHARE)) // (world * options.accumulate)
    trial = _Trial(options, split, device, world)
    if most < trial.smallest:
        raise UserError(
            f"auto_batch: {len(split)} training images are too few for {world} processes x accumulate "
            f"{options.accumulate}; lower these, or give a batch_size"
        )
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        images = largest(trial.fits, trial.smallest, most)
    if images is None:
        raise UserError(
            f"auto_batch: {trial.smallest} images at once need {trial.needed / _GB:.1f} GB, and a step may take "
            f"{trial.limit / _GB:.1f} GB; use smaller images, --precision bf16 or --model.grad_checkpointing true"
        )
    return Share(images, trial.peaks[images], trial.limit)


def choose_batch(options: TrainOptions, share: Share, group: Group) -> tuple[TrainOptions, str]:
    """The options with the batch size of the smallest share of all processes, and a line about it."""
    counts = gather_over_processes(torch.tensor(share.images, device=group.device))
    images = int(torch.stack(counts).min())
    batch_size = images * group.world * options.accumulate
    return replace(options, batch_size=batch_size), (
        f"auto_batch: {batch_size} images per step; {share.images} at once take {share.needed / _GB:.2f} of "
        f"{share.limit / _GB:.2f} GB; optim.lr stays {options.optim.lr:g}"
    )


def largest(fits: Callable[[int], bool], smallest: int, most: int) -> int | None:
    """The largest multiple of ``smallest`` up to ``most`` that fits; None if ``smallest`` does not.

    Powers of two first, then bisection, until the next number to try is less than a sixteenth larger.
    """
    if not fits(smallest):
        return None
    low = smallest
    while 2 * low <= most and fits(2 * low):
        low *= 2
    high = min(2 * low, most // smallest * smallest + smallest)  # does not fit, or is above the limit
    while high - low > max(smallest, low // 16):
        middle = low + (high - low) // (2 * smallest) * smallest
        if middle == low:
            break
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


class _Trial:
    """Training steps of a network of its own, and their memory.

    Attributes:
        smallest: The number of images that all numbers are multiples of.
        limit: The bytes that a step may take.
        needed: The bytes that the last number of images takes, as measured or as estimated.
        peaks: The measured bytes, by number of images.
    """

    def __init__(self, options: TrainOptions, split: Split, device: torch.device, world: int) -> None:
        dense = replace(options.dense, img_sizes=[max(options.dense.img_sizes)])  # each image in its largest size
        self._options, self._device = replace(options, dense=dense), device
        self.needed, self.peaks = 0.0, dict[int, float]()
        if device.type == "cpu":
            local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # these share the machine's memory
            self._base = resident_memory()
            self.limit = self._base + _SAFE["cpu"] * float(available_memory() or 0) / local
        else:
            free = torch.cuda.mem_get_info(device)[0]
            self._base = torch.cuda.memory_allocated(device)
            self.limit = self._base + _SAFE["cuda"] * free

        reseed(options.seed)
        self._task = start_task(self._options, split)
        network = self._task.network
        self._frozen = freeze(network, options.model.freeze)
        self.smallest = 2 if self._task.pairs or self._needs_two() else 1
        self._model = network.model.to(device)
        if options.channels_last:
            self._model = self._model.to(memory_format=torch.channels_last)
        self._ema = build_average(options, self._model)
        self._optimizer = build_optimizer(options.optim, self._model)
        for group in self._optimizer.param_groups:
            group["lr"] = 1e-12  # the weights stay finite
        trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        # Several processes also keep the gradients in the buckets that they exchange.
        self._buckets = sum(_bytes(parameter) for parameter in trained) if world > 1 else 0
        self._samples = self._largest_samples(split)
        self._queued = 2 * options.data.workers * _bytes(self._samples[0]) if device.type == "cpu" else 0

    def fits(self, images: int) -> bool:
        """Whether a step on so many images stays within the limit."""
        self.needed = self._estimate(images)
        if self.needed > self.limit and self._device.type == "cpu":
            return False  # the system would end the process
        batch = self._task.train_collate([self._samples[i % len(self._samples)] for i in range(images)])
        try:
            for _ in range(1 if self.peaks else 2):  # the first step has no state of the optimiser yet
                peak = self._peak(batch)
        except torch.OutOfMemoryError:
            return False
        finally:
            self._optimizer.zero_grad(set_to_none=True)
            gc.collect()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        self.peaks[images] = self.needed = peak + self._buckets + images * self._queued
        return self.needed <= self.limit

    def _needs_two(self) -> bool:
        """Whether the network cannot be trained on a single image, for its normalisation."""
        try:
            check_shapes(self._task.network, replace(self._options, batch_size=1, accumulate=1), 1)
        except UserError:
            check_shapes(self._task.network, replace(self._options, batch_size=2, accumulate=1), 1)
            return True
        return False

    def _peak(self, batch: Batch) -> float:
        """The most bytes during a step."""
        cuda = self._device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            reset_peak()
        self._model.train()
        hold(self._frozen)
        loss = batch_loss(self._task, self._model, batch, self._options, self._device)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize(self._device)
            return torch.cuda.max_memory_allocated(self._device)
        return peak_memory()

    def _estimate(self, images: int) -> float:
        """What so many images would take, as a line through the last two measurements says."""
        if len(self.peaks) < 2:
            return max([2 * peak - self._base for peak in self.peaks.values()], default=0.0)
        (a, low), (b, high) = sorted(self.peaks.items())[-2:]
        return low + (high - low) / (b - a) * (images - a)

    def _largest_samples(self, split: Split) -> list[Sample]:
        """The samples with most bytes, height and width among the first: together, they are padded most."""
        mode = image_mode(self._task.network.config)
        data = TrainSet(split, self._task.train_transform(), mode, self._options.seed)
        samples = [data[Key(0, index, index)] for index in range(min(_SAMPLES, len(split)))]
        keys: list[Callable[[Sample], int]] = [_bytes, lambda x: x.image.shape[-2], lambda x: x.image.shape[-1]]
        return [max(samples, key=key) for key in keys]


def _bytes(value: Any) -> int:
    """Bytes of the tensors in a sample, a target or a tensor."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Sample):
        return _bytes(value.image) + _bytes(value.target)
    return sum(_bytes(each) for each in vars(value).values()) if hasattr(value, "__dict__") else 0
