"""Checkpoints give back, bit for bit, what they were given; in safetensors and JSON."""

import json
import shutil

import pytest
import torch
from timm.optim import create_optimizer_v2

from atmnet.engine import latest_checkpoint, load_checkpoint, save_checkpoint, train
from atmnet.engine.checkpoint import prune_checkpoints
from atmnet.tasks import build_classifier
from atmnet_cli.errors import UserError
from atmnet_cli.options import ModelOptions
from tests.engine.runs import RANDOM, tiny


@pytest.fixture(scope="module")
def classifier():
    return build_classifier(ModelOptions(name="atmnet_nano"), ["a", "b"], None)


def _assert_equal(a, b):
    assert type(a) is type(b) or {type(a), type(b)} == {list, tuple}
    if isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(key) for key in a] == [type(key) for key in b]
        for key in a:
            _assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _assert_equal(x, y)
    elif isinstance(a, torch.Tensor):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert torch.equal(a.isnan(), b.isnan())
        assert a[~a.isnan()].equal(b[~b.isnan()])
    else:
        assert a == b


def _step(optimizer, model, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()


@pytest.mark.parametrize("name", ["adamw", "lamb", "lion", "sgd", "adafactor", "nadamw", "lookahead_adamw"])
def test_optimizer_goes_on_with_the_same_bits(name, classifier, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))
    twin = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))
    optimizers = [create_optimizer_v2(m, opt=name, lr=0.1, weight_decay=0.05, layer_decay=0.8) for m in (model, twin)]
    for seed in range(3):
        _step(optimizers[0], model, seed)
    state = {"optimizer": optimizers[0].state_dict(), "step": 3}
    save_checkpoint(tmp_path, 3, classifier, model.state_dict(), state)

    weights, loaded = load_checkpoint(latest_checkpoint(tmp_path))
    _assert_equal(loaded, state)
    twin.load_state_dict(weights)
    optimizers[1].load_state_dict(loaded["optimizer"])
    for seed in range(3, 6):
        _step(optimizers[0], model, seed)
        _step(optimizers[1], twin, seed)
    _assert_equal(dict(model.state_dict()), dict(twin.state_dict()))


def test_nested_state_of_any_kind(classifier, tmp_path):
    state = {
        "tensors": [torch.randn(3, 4).t(), torch.tensor(7), torch.empty(0, 3), torch.tensor([True, False])],
        "types": {
            "bf16": torch.randn(5).bfloat16(), "fp16": torch.randn(5).half(), "f64": torch.randn(2).double(),
            "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
        },
        "numbers": [1, 1.0, 0.1 + 0.2, 1e-320, float("inf"), True, None, -5],
        "text": ["", "ä\n\"'", "tensor"],
        7: {"tensor": "not one", "dict": {"a.b": torch.ones(1)}, "a": {"c": torch.zeros(1)}},
        "empty": [{}, []],
    }  # fmt: skip
    save_checkpoint(tmp_path, 1, classifier, {"w": torch.ones(2)}, state)
    _assert_equal(load_checkpoint(tmp_path / "last")[1], state)


def test_what_is_kept(classifier, tmp_path):
    def names(steps):
        return [f"step-{step:08d}" for step in steps]

    for step in range(1, 9):
        save_checkpoint(tmp_path, step, classifier, {}, {})
        prune_checkpoints(tmp_path, 2, min(step, 3))
        expected = sorted({min(step, 3), *range(max(1, step - 1), step + 1)})
        assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == names(expected)
        assert (tmp_path / "best").resolve().name == names([min(step, 3)])[0]
        assert (tmp_path / "last").resolve().name == names([step])[0]
        assert latest_checkpoint(tmp_path).name == names([step])[0]


def test_links_survive_a_move(classifier, tmp_path):
    save_checkpoint(tmp_path / "run", 1, classifier, {}, {"step": 1})
    (tmp_path / "run").rename(tmp_path / "moved")
    assert load_checkpoint(tmp_path / "moved" / "last")[1] == {"step": 1}


def test_no_pickle_in_a_run_folder(trained):
    """Not as a file of torch's (a zip), nor bare; and every file is of a kind that is read without running code."""
    kinds = {".json", ".jsonl", ".gz", ".safetensors", ".lock"}
    for path in trained(RANDOM).rglob("*"):
        if path.is_dir():
            continue
        content = path.read_bytes()
        assert not content.startswith((b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), path
        assert b"ctorch" not in content
        assert path.suffix in kinds or path.name == ".lock" or path.name.startswith("events.out.tfevents"), path
        if path.suffix == ".json":
            json.loads(content)


def test_damaged_afterwards(root, tmp_path, die_after):
    """By hand or by a disk: one line names the checkpoint, and without it the run goes on from the one before."""
    options = tiny(root, tmp_path / "run")
    with pytest.raises(die_after(9)):
        train(options)
    die_after(None)
    damaged = latest_checkpoint(tmp_path / "run")
    for name in ("trainer.safetensors", "trainer.json", "model.safetensors"):
        whole = (damaged / name).read_bytes()
        (damaged / name).write_bytes(whole[:100])
        with pytest.raises(UserError, match=rf"{damaged.name}: damaged: ") as caught:
            train(options)
        assert "\n" not in str(caught.value), name
        (damaged / name).write_bytes(whole)
    shutil.rmtree(damaged)
    train(options)
    assert load_checkpoint(tmp_path / "run" / "last")[1]["step"] == 12
