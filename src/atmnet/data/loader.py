"""Data loaders with timm's transforms and this package's order and seeds."""

import os
from collections.abc import Callable, Iterable

import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import Dataset

from atmnet.data.dataset import Collate, EvalSet, Sample, Split, TrainSet, Transform
from atmnet.data.sampler import Key, StepSampler
from atmnet.data.workers import Loader
from atmnet.models.create import DataConfig
from atmnet_cli.errors import UserError
from atmnet_cli.options import AugmentOptions
from atmnet_runtime import preprocess

ImageTransform = Callable[[Image.Image], Tensor]


def image_mode(config: DataConfig) -> str:
    """Pillow's mode for a model's number of input channels: 'L' or 'RGB'.

    Raises:
        UserError: For other numbers than 1 (grey) and 3 (RGB).
    """
    channels = config["input_size"][0]
    modes = {1: "L", 3: "RGB"}
    if channels not in modes:
        raise UserError(f"model.kwargs: in_chans={channels}: picture files are read as 1 (grey) or 3 (RGB) channels")
    return modes[channels]


def train_transform(augment: AugmentOptions, config: DataConfig) -> ImageTransform:
    """timm's training transform: picture -> normalised tensor (C, h, w).

    Raises:
        UserError: If timm does not accept the options in ``augment``.
    """
    try:
        return _train_transform(augment, config)
    except (AssertionError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"augment: timm does not accept these options: {error}") from error


def _train_transform(augment: AugmentOptions, config: DataConfig) -> ImageTransform:
    transform: ImageTransform = create_transform(
        config["input_size"],
        is_training=True,
        scale=augment.scale,
        ratio=augment.ratio,
        hflip=augment.hflip,
        vflip=augment.vflip,
        color_jitter=augment.color_jitter,
        auto_augment=augment.auto_augment,
        interpolation=augment.interpolation,
        re_prob=augment.erase,
        re_mode=augment.erase_mode,
        mean=config["mean"],
        std=config["std"],
    )
    return transform


def eval_transform(config: DataConfig) -> ImageTransform:
    """timm's evaluation transform: picture -> normalised tensor (C, h, w).

    It is computed as for exported files, with the same bits as timm's own, which would enlarge a strip of 20,000 x 1
    pixels to gigabytes before it crops.
    """
    return EvalTransform(config)


class EvalTransform:
    """The callable that :func:`eval_transform` returns."""

    def __init__(self, config: DataConfig) -> None:
        self._config = {**config, "pixels": "normalised"}

    def __call__(self, image: Image.Image) -> Tensor:
        return torch.from_numpy(preprocess(image, self._config))


def train_loader(
    source: Split,
    transform: Transform,
    collate: Collate,
    mode: str,
    sampler: StepSampler,
    workers: int,
    pin: bool = False,
) -> Loader:
    """Batches of augmented images in the sampler's order."""
    data = TrainSet(source, transform, mode, sampler.seed)
    return _loader(data, collate, workers, pin, batch_sampler=sampler)


def eval_loader(
    source: Split,
    transform: Transform,
    collate: Collate,
    mode: str,
    batch_size: int,
    workers: int,
    *,
    world: int = 1,
    rank: int = 0,
    pin: bool = False,
) -> Loader:
    """Batches of this process's share of the images: every ``world``-th image, from image ``rank`` on.

    All processes together evaluate each image exactly once. A single batch is read in this process: one loader process
    would read it no sooner, and would have to be started for each evaluation of a training run.
    """
    share = list(range(rank, len(source), world))
    batches = [share[i : i + batch_size] for i in range(0, len(share), batch_size)]
    workers = min(workers, len(batches)) if len(batches) > 1 else 0
    return _loader(EvalSet(source, transform, mode), collate, workers, pin, batch_sampler=batches)


def _loader(
    data: Dataset[Sample],
    collate: Collate,
    workers: int,
    pin: bool,
    batch_sampler: Iterable[list[Key]] | Iterable[list[int]],
) -> Loader:
    return Loader(
        data,
        collate,
        min(workers, _cores()),  # the samples do not depend on the number
        batch_sampler=batch_sampler,
        pin_memory=pin,
        # Its own generator: the loader must not draw from the global one, which training uses.
        generator=torch.Generator(),
    )


def _cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
