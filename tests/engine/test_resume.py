"""A run that died and was started again ends with the same bits as one that did not."""

import pytest

from atmnet.engine import train
from tests.engine.runs import RANDOM, RARE_LINES, assert_same_run, complete_checkpoints, litter, metrics, tiny

VARIANTS = {
    "random, EMA, accumulate": RANDOM,
    "workers": {**RANDOM, "data.workers": 2},
    "float16, channels last": {
        "precision": "fp16",
        "channels_last": True,
        "optim.clip_grad": 1.0,
        "augment.mixup": 0.5,
    },
    "fused, layer decay": {"optim.kwargs": {"fused": True}, "optim.layer_decay": 0.75, "channels_last": True},
    "batch norm": {"model.name": "test_resnet", "data.img_size": 32, "ema": 0.9},
    "lamb, recomputed blocks": {"optim.opt": "lamb", "model.grad_checkpointing": True, "model.drop_path": 0.3},
    "sgd, step schedule, balanced": {
        "optim.opt": "sgd",
        "optim.sched": "step",
        "augment.repeats": 2,
        "sampling": "balanced",
        "class_weights": {"eight": 1.0, "five": 2.0, "two": 0.5},
    },
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_same_bits(root, trained, tmp_path, changes, die_after):
    """Dies before the first checkpoint, then right after one, then some steps after one."""
    whole, parts = trained(changes), tiny(root, tmp_path / "parts", changes)
    assert [line["step"] for line in metrics(whole)] == [5, 6, 10, 12, 12]

    for steps in (2, 4, 5):
        with pytest.raises(die_after(steps * parts.accumulate)):
            train(parts)
    die_after(None)
    train(parts)
    assert_same_run(whole, tmp_path / "parts")
    assert litter(tmp_path / "parts") == []
    assert (tmp_path / "parts" / "best").readlink() == (whole / "best").readlink()


@pytest.mark.parametrize("every", [2, 3])
def test_dies_after_each_checkpoint(root, trained, tmp_path, die_after, every):
    """No line of the log is lost or written twice, wherever checkpoints and lines fall."""
    parts = tiny(root, tmp_path / "parts", {**RARE_LINES, "checkpoint_every": every})
    for _ in range(12 // every - 1):
        with pytest.raises(die_after(every)):
            train(parts)
        complete_checkpoints(tmp_path / "parts")
    die_after(None)
    train(parts)
    assert_same_run(trained(RARE_LINES), tmp_path / "parts")


def test_free_options_do_not_matter(root, trained, tmp_path, die_after):
    """How fast and where to: not what comes out."""
    whole = trained(RANDOM)
    with pytest.raises(die_after(14)):
        train(tiny(root, tmp_path / "parts", RANDOM))
    die_after(None)
    moved = tmp_path / "moved"
    (tmp_path / "parts").rename(moved)
    free = {**RANDOM, "data.workers": 1, "eval_batch_size": 5, "checkpoint_every": 3, "keep": 1, "threads": 1}
    train(tiny(root, moved, free))
    a, b = metrics(whole), metrics(moved)
    assert [line["step"] for line in a] == [line["step"] for line in b]
    for theirs, ours in zip(a, b, strict=True):
        assert theirs.pop("kind") == ours.pop("kind")
        assert theirs == pytest.approx(ours, rel=1e-6)  # batches of evaluation differ in size
    for name in ("model.safetensors", "trainer.safetensors"):
        assert (whole / "last" / name).read_bytes() == (moved / "last" / name).read_bytes()
