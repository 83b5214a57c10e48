"""Evaluation reads every image once, in order, and never puts another in the place of a broken one."""

import pytest

from atmnet.data import OnImage, eval_loader, eval_transform, loader, open_labelled, stack_samples
from atmnet_cli.options import DataOptions

CONFIG = {
    "input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3,
    "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center",
}  # fmt: skip


def _batches(root, workers=0, **share):
    source = open_labelled(DataOptions(root=str(root)), "val")
    return list(eval_loader(source, OnImage(eval_transform(CONFIG)), stack_samples, "RGB", 5, workers, **share))


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 2), (2, 0), (2, 1), (5, 0), (20, 0)])
def test_shares_hold_every_image_once(digits_root, world, workers):
    """12 images over up to 20 processes: some get one more, some none; none twice."""
    whole = _batches(digits_root)
    assert [len(batch.images) for batch in whole] == [5, 5, 2]
    images = [image for batch in whole for image in batch.images]
    targets = [int(target) for batch in whole for target in batch.targets]
    assert targets == [0] * 4 + [1] * 4 + [2] * 4
    for rank in range(world):
        share = _batches(digits_root, workers, world=world, rank=rank)
        assert [int(target) for batch in share for target in batch.targets] == targets[rank::world]
        ours = [image for batch in share for image in batch.images]
        assert all(a.equal(b) for a, b in zip(ours, images[rank::world], strict=True))


@pytest.mark.parametrize(("batch_size", "expected"), [(12, 0), (6, 2), (4, 3), (3, 3)])
def test_loader_processes_that_evaluations_start(digits_root, monkeypatch, batch_size, expected):
    """None for a single batch, which this process reads as soon, and none without a batch of its own."""
    monkeypatch.setattr(loader, "_cores", lambda: 4)
    monkeypatch.setattr(loader, "Loader", lambda data, collate, workers, **options: workers)
    source = open_labelled(DataOptions(root=str(digits_root)), "val")
    transform = OnImage(eval_transform(CONFIG))
    assert eval_loader(source, transform, stack_samples, "RGB", batch_size, 3) == expected


def test_broken_images_are_named_and_nothing_takes_their_place(digits_root):
    (digits_root / "val" / "five" / "five-1.png").write_bytes(b"broken")
    batches = _batches(digits_root)
    assert [len(batch.unreadable) for batch in batches] == [0, 1, 0]
    assert batches[1].unreadable[0].startswith("five/five-1.png (")
    assert batches[1].images[0].std() == 0  # blank
