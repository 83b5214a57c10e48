"""A training sample is a function of its key: not of the process, the worker or what was drawn before."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data import Key, OnImage, StepSampler, open_labelled, stack_samples, train_loader, train_transform
from atmnet.data.dataset import TrainSet
from atmnet_cli.options import AugmentOptions, DataOptions
from tests.data.tiny import pack, png_header

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}
STRONG = AugmentOptions(auto_augment="rand-m9-mstd0.5-inc1", erase=0.9, color_jitter=0.4, vflip=0.3)


@pytest.fixture
def source(digits_root):
    return open_labelled(DataOptions(root=str(digits_root)), "train")


def _train_set(source, seed=0, augment=STRONG):
    return TrainSet(source, OnImage(train_transform(augment, CONFIG)), "RGB", seed)


def _disturb():
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002 - the generator that timm draws from
    torch.manual_seed(99)
    torch.rand(7)


def test_global_generators_do_not_matter(source):
    data = _train_set(source)
    keys = [Key(epoch, position, index) for epoch in (0, 1) for position in (0, 5) for index in (0, 9, 23)]
    before = [data[key] for key in keys]
    _disturb()
    after = [data[key] for key in reversed(keys)][::-1]
    for a, b in zip(before, after, strict=True):
        assert a.image.equal(b.image)
        assert a.target == b.target


def test_every_part_of_the_key_and_the_seed_matter(source):
    keys = [Key(0, 0, 3), Key(1, 0, 3), Key(0, 1, 3), Key(0, 0, 4)]
    images = [_train_set(source)[key].image for key in keys] + [_train_set(source, seed=1)[keys[0]].image]
    for i, a in enumerate(images):
        assert not any(a.equal(b) for b in images[:i])


@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.filterwarnings("ignore:unclosed file .*train.tar:ResourceWarning")  # timm's
def test_workers_change_nothing(source, kind, digits_root):
    if kind == "tar":
        pack(digits_root / "train", digits_root / "train.tar")
        source = open_labelled(DataOptions(source="tar", root=str(digits_root)), "train.tar")
    runs = []
    for workers in (0, 2):
        sampler = StepSampler(24, batch_size=8, parts=2, total_steps=12)
        runs.append(
            list(train_loader(source, OnImage(train_transform(STRONG, CONFIG)), stack_samples, "RGB", sampler, workers))
        )
        _disturb()
    assert len(runs[0]) == len(runs[1]) == 24
    for a, b in zip(*runs, strict=True):
        assert a.images.equal(b.images)
        assert a.targets.equal(b.targets)


def test_reading_leaves_the_training_process_generators_alone(source):
    """With workers; without them, each step reseeds anyway."""
    sampler = StepSampler(24, batch_size=8, total_steps=1)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    transform = OnImage(train_transform(STRONG, CONFIG))
    list(train_loader(source, transform, stack_samples, "RGB", sampler, workers=1))
    assert torch.get_rng_state().equal(state)


def test_unreadable_image_is_replaced_and_named(digits_root, source):
    (digits_root / "train" / "five" / "five-3.png").write_bytes(b"broken")
    (digits_root / "train" / "two" / "two-0.png").write_bytes(png_header(20_000, 20_000))
    (digits_root / "train" / "two" / "two-1.png").unlink()
    data = _train_set(source)
    broken = [i for i in range(24) if source.name(i) in ("five/five-3.png", "two/two-0.png", "two/two-1.png")]
    assert len(broken) == 3
    for index in broken:
        samples = [data[Key(0, position, index)] for position in range(8)]
        assert all(sample.unreadable[0].startswith(source.name(index)) for sample in samples)
        assert all(sample.image.std() > 0.01 for sample in samples)
        assert len({sample.target for sample in samples}) > 1  # not always the neighbour
        assert samples[2].image.equal(data[Key(0, 2, index)].image)
    assert data[Key(0, 0, (broken[-1] + 1) % 24)].unreadable == []


def test_all_unreadable_ends(digits_root, source):
    for path in (digits_root / "train").rglob("*.png"):
        path.write_bytes(b"broken")
    sample = _train_set(source)[Key(0, 0, 0)]
    assert len(sample.unreadable) > 1
    assert sample.image.shape == (3, 32, 32)


def test_grey_pictures_for_one_channel(source):
    config = {"input_size": (1, 32, 32), "mean": (0.5,), "std": (0.5,)}
    data = TrainSet(source, OnImage(train_transform(AugmentOptions(color_jitter=0.0), config)), "L", 0)
    assert data[Key(0, 0, 0)].image.shape == (1, 32, 32)
    assert isinstance(source.load(0, "L")[0], Image.Image)
