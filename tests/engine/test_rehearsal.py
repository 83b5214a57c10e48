"""What cannot be saved or resumed is refused before the first step; what is rehearsed changes nothing."""

import errno
import os

import pytest
import torch
from torch import nn

from atmnet.engine import rehearsal, train
from atmnet.engine.rehearsal import check_state, rehearse_optimizer, rehearse_save
from atmnet.engine.resume import Trained
from atmnet.tasks import build_classifier
from atmnet_cli.errors import UserError
from atmnet_cli.options import ModelOptions, OptimOptions
from tests.engine.runs import assert_same_run, tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["adafactorbv", "cadafactorbvc", "lookahead_adam", "laprop", "sgd", "adopt", "lars"])
def test_optimizers_that_can_be_resumed(name):
    rehearse_optimizer(OptimOptions(opt=name, lr=0.01), CPU)


def test_an_optimizer_that_needs_more_than_gradients_is_refused_before_data_are_read(tmp_path):
    options = tiny(tmp_path / "no such data", tmp_path / "run", {"optim.opt": "adahessian", "data.source": "folder"})
    with pytest.raises(UserError, match=r"optim\.opt: 'adahessian' cannot take a step from gradients alone"):
        train(options)
    assert not (tmp_path / "run").exists()


class _Closure(torch.optim.SGD):
    def step(self, closure):
        return super().step(closure)


class _Odd(torch.optim.SGD):
    """Has a value in its state that cannot be saved."""

    def state_dict(self):
        return {**super().state_dict(), "odd": object()}


class _Counting(torch.optim.SGD):
    """Keeps a part of its state where a state dict does not look."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.steps
        return super().step(closure)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (_Closure, r"'mine' cannot take a step from gradients alone \(.*'closure'\)"),
        (_Odd, r"a run with 'mine' could not be resumed: odd is of type builtins\.object"),
        (_Counting, "a run with 'mine' could not be resumed: it would not go on with the same bits"),
    ],
)
def test_other_optimizers_are_refused_in_one_line(kind, told, monkeypatch):
    monkeypatch.setattr(rehearsal, "build_optimizer", lambda options, model: kind(model.parameters(), lr=0.1))
    with pytest.raises(UserError, match=rf"^optim\.opt: {told}; choose another$"):
        rehearse_optimizer(OptimOptions(opt="mine"), CPU)


def test_state_that_appears_with_the_first_step():
    with pytest.raises(UserError, match=r"optim\.opt: its state cannot be saved: odd is of type"):
        check_state(_Odd([nn.Parameter(torch.ones(1))]))


def _trained(network):
    model = network.model
    return Trained(model, None, torch.optim.AdamW(model.parameters()), torch.amp.GradScaler("cpu", enabled=False))


@pytest.fixture
def network():
    return build_classifier(ModelOptions(name="test_vit"), ["a", "b"], None)


class _Extra(nn.Linear):
    def get_extra_state(self):
        return {"number": 1}

    def set_extra_state(self, state):
        pass


def test_networks_that_cannot_be_saved(network, tmp_path):
    trained = _trained(network)
    rehearse_save(tmp_path, network, trained, {"step": 0})
    assert list(tmp_path.iterdir()) == []
    network.config = {**network.config, "mean": (float("nan"),) * 3}
    with pytest.raises(
        UserError, match=r"model\.name: a run of 'test_vit' could not be saved .*config\.json: not valid"
    ):
        rehearse_save(tmp_path, network, trained, {"step": 0})
    network.config = {**network.config, "mean": (0.5, 0.5, 0.5)}
    network.model.head = _Extra(64, 2)
    with pytest.raises(UserError, match=r"model\.name: a run of 'test_vit' could not be saved and resumed"):
        rehearse_save(tmp_path, network, _trained(network), {"step": 0})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_checkpoint(network, tmp_path, monkeypatch):
    rename = os.replace

    def no_folders(source, target):
        if os.path.isdir(source):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        rename(source, target)

    monkeypatch.setattr(os, "replace", no_folders)
    with pytest.raises(UserError, match=r"output: .*: no checkpoint can be written there: Function not implemented"):
        rehearse_save(tmp_path, network, _trained(network), {"step": 0})
    assert list(tmp_path.iterdir()) == []


#: A model with tied weights, made small.
TIED = {
    "model.name": "coat_tiny",
    "model.kwargs": {
        "img_size": 32, "embed_dims": [16] * 4, "serial_depths": [1] * 4, "parallel_depth": 1,
    },
    "data.img_size": 32,
    "ema": 0.9,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"optim.opt": "adafactorbv"}, {"optim.opt": "lookahead_adam"}, TIED],
    ids=["bfloat16 moments, which PyTorch loads as float32", "state in a wrapped optimiser", "tied weights"],
)
def test_resumed_with_the_same_bits(changes, root, trained, tmp_path, die_after):
    changes = {**changes, "epochs": 2}
    options = tiny(root, tmp_path / "parts", changes)
    with pytest.raises(die_after(5)):
        train(options)
    die_after(None)
    train(options)
    assert_same_run(trained(changes), tmp_path / "parts")
