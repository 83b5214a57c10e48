"""Each option does what it says, and what only saves memory or time changes no result."""

import itertools
from dataclasses import replace

import pytest
import torch

from atmnet.data import reseed
from atmnet.engine import load_checkpoint, train
from atmnet.tasks import build_classifier, classification, load_classifier
from atmnet_cli.errors import UserError
from tests.engine.runs import losses, metrics, tiny, weights

MIXED = {"augment.mixup": 0.8, "augment.cutmix": 1.0, "augment.erase": 0.3, "log_every": 1, "epochs": 3}
#: Three steps at the full rate.
SHORT = {"epochs": 1, "optim.warmup_epochs": 0}


@pytest.fixture
def plain(trained):
    return trained(MIXED)


@pytest.mark.parametrize(
    "changes", [{"accumulate": 4}, {"channels_last": True, "model.grad_checkpointing": True}], ids=str
)
def test_same_losses(root, tmp_path, plain, changes):
    train(tiny(root, tmp_path / "run", {**MIXED, **changes}))
    assert losses(tmp_path / "run") == pytest.approx(losses(plain), rel=1e-5)


def test_each_part_of_a_step_drops_paths_of_its_own(root, tmp_path, monkeypatch):
    seeds, target = [], classification.TARGETS["classification"]

    def spy(logits, targets, weights):
        seeds.append(torch.initial_seed())  # that the forward pass has drawn from
        return target.loss(logits, targets, weights)

    monkeypatch.setitem(classification.TARGETS, "classification", replace(target, loss=spy))
    train(tiny(root, tmp_path / "run", {**SHORT, "accumulate": 2, "model.drop_path": 0.5}))
    assert len(set(seeds)) == len(seeds) == 6


@pytest.mark.slow
def test_compiled(root, tmp_path, plain):
    train(tiny(root, tmp_path / "run", {**MIXED, "compile": True}))
    assert losses(tmp_path / "run") == pytest.approx(losses(plain), rel=1e-3)
    assert weights(tmp_path / "run").keys() == weights(plain).keys()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision(root, tmp_path, plain, precision):
    train(tiny(root, tmp_path / "run", {**MIXED, "precision": precision}))
    half, full = losses(tmp_path / "run"), losses(plain)
    assert half != full
    assert half == pytest.approx(full, rel=0.05)
    assert all(value.dtype == torch.float32 for value in weights(tmp_path / "run").values())
    scaler = load_checkpoint(tmp_path / "run" / "last")[1]["scaler"]
    assert bool(scaler) == (precision == "fp16")


def _one_step(root, folder, changes):
    """Plain gradient descent with one step of all images; the weights before and after it."""
    options = tiny(root, folder, {"epochs": 1, "batch_size": 24, "log_every": 1, "optim.warmup_epochs": 0, **changes})
    options.optim.opt, options.optim.weight_decay, options.optim.kwargs = "momentum", 0.0, {"momentum": 0.0}
    train(options)
    reseed(options.seed)
    before = build_classifier(options.model, ["eight", "five", "two"], None).model.state_dict()
    saved, trainer = load_checkpoint(folder / "last")
    return before, saved, trainer


def test_clipped_gradient(root, tmp_path):
    before, after, _ = _one_step(root, tmp_path / "run", {"optim.clip_grad": 0.01, "optim.lr": 0.5})
    assert metrics(tmp_path / "run")[0]["grad_norm"] > 0.1  # as it was before
    change = sum(((after[key] - before[key]).double() ** 2).sum() for key in before) ** 0.5
    assert float(change) == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_average(root, tmp_path):
    """What is saved for use is the average; what is trained further lies beside it."""
    before, average, trainer = _one_step(root, tmp_path / "run", {"ema": 0.9, "ema_warmup": False, "optim.lr": 0.5})
    trained = trainer["model"]
    assert any(not trained[key].equal(before[key]) for key in before)
    for key in before:
        torch.testing.assert_close(average[key], 0.9 * before[key] + 0.1 * trained[key], rtol=1e-5, atol=1e-7)


def test_layer_decay(root, tmp_path):
    train(tiny(root, tmp_path / "run", {**SHORT, "optim.layer_decay": 0.75}))
    groups = load_checkpoint(tmp_path / "run" / "last")[1]["optimizer"]["param_groups"]
    scales = sorted({group["lr_scale"] for group in groups})
    assert scales[-1] == 1
    assert len(scales) > 8  # eight blocks, the stem, the head
    assert [b / a for a, b in itertools.pairwise(scales)] == pytest.approx([1 / 0.75] * (len(scales) - 1))
    rates = {group["lr"] / group["lr_scale"] for group in groups}
    assert max(rates) == pytest.approx(min(rates))


def test_no_weight_decay_on_vectors_and_positions(root, tmp_path):
    train(tiny(root, tmp_path / "run", {**SHORT, "optim.weight_decay": 0.3}))
    groups = load_checkpoint(tmp_path / "run" / "last")[1]["optimizer"]["param_groups"]
    assert sorted(group["weight_decay"] for group in groups) == [0, 0.3]


def test_repeats(root, tmp_path):
    """An epoch is as long, with a third of the images, each thrice."""
    train(tiny(root, tmp_path / "run", {**MIXED, "epochs": 4, "augment.repeats": 3, "batch_size": 6}))
    assert metrics(tmp_path / "run")[-1]["step"] == 16
    assert losses(tmp_path / "run")[-1] < 1.3


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_another_model_of_timm(root, tmp_path, name):
    train(tiny(root, tmp_path / "run", {**SHORT, "model.name": name, "ema": 0.5}))
    loaded = load_classifier(str(tmp_path / "run"))
    assert loaded.classes == ["eight", "five", "two"]
    for key, value in loaded.model.state_dict().items():
        assert value.equal(weights(tmp_path / "run")[key])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 25}, "batch_size: got 25, more than the 24 training images"),
        ({"accumulate": 3}, "batch_size: got 8, expected a multiple of processes x accumulate = 1 x 3"),
        ({"accumulate": 8, "augment.mixup": 0.1}, "need an even share for each process and part; got 8 / 8 = 1"),
        ({"optim.warmup_epochs": -1}, "optim.warmup_epochs: got -1, expected at least 0"),
        ({"optim.opt": "adamww"}, "optim: adamww"),
        ({"optim.kwargs": {"betaz": 1}}, "optim: adamw: .*betaz"),
        ({"optim.sched": "cosin"}, "optim.sched: "),
        ({"augment.auto_augment": "randaugment"}, "augment"),
        ({"augment.interpolation": "cubic"}, "augment"),
        ({"augment.repeats": 0}, "augment.repeats: got 0, expected at least 1"),
        ({"data.workers": -1}, "data.workers: got -1, expected at least 0"),
        ({"data.img_size": -32}, "data.img_size: .*-32"),
        ({"threads": -1}, "threads: got -1, expected at least 1"),
        ({"eval_batch_size": 0}, "eval_batch_size: got 0, expected at least 1"),
        ({"ema": 1.5}, "ema: got 1.5"),
        ({"model.kwargs": {"in_chans": 5}}, "in_chans=5: picture files are read as 1 .grey. or 3 .RGB. channels"),
        ({"device": "cuda:99"}, "device: 'cuda:99' cannot be used here"),
        ({"device": "gpu"}, "device: 'gpu' cannot be used here"),
        *(({name: 0}, f"{name}: got 0, expected at least 1") for name in
          ("epochs", "batch_size", "accumulate", "evaluate_every", "checkpoint_every", "keep", "log_every",
           "min_epoch_steps")),
    ],
    ids=str,
)  # fmt: skip
def test_refused(root, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        train(tiny(root, tmp_path / "run", changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "options.json").exists()
