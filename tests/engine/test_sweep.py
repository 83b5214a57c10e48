"""Every optimiser of timm, and a small model of each of its families: stopped after one step, resumed, the same bits.

Whatever cannot be trained so is refused in one line, and named here.
"""

import json
from pathlib import Path

import pytest
import timm
import torch
from timm.optim import list_optimizers

from atmnet.engine import train
from atmnet_cli.errors import UserError
from tests.engine.runs import NARROW, tiny

#: For each family its smallest model, or one made small by arguments; and the smallest image size that it takes.
FAMILIES: dict[str, list] = json.loads((Path(__file__).parent / "families.json").read_text())

STEPS = {
    "steps": 2, "batch_size": 4, "log_every": 1, "checkpoint_every": 1, "evaluate_every": 99, "optim.warmup_steps": 1,
    "eval_batch_size": 4, "optim.lr": 1e-4, "ema": 0.9,
}  # fmt: skip
SMALL = {"model.name": "test_resnet", "data.img_size": 32}
#: What starts the error of an optimiser that is refused on a CPU: those that need CUDA, and those that need closures.
REFUSED = {
    **dict.fromkeys([name for name in map(str, list_optimizers()) if name.startswith(("bnb", "fused"))], "optim: "),
    **dict.fromkeys(["kron", "kronc", "kronw"], "optim.kwargs: "),
    "adahessian": "optim.opt: 'adahessian' cannot take a step from gradients alone",
}


def _check(root, tmp_path, die_after, changes):
    """A run of two steps, and the same one stopped after the first and resumed."""
    whole, parts = (tiny(root, tmp_path / name, {**STEPS, **changes}) for name in ("whole", "parts"))
    train(whole)
    with pytest.raises(die_after(1)):
        train(parts)
    die_after(None)
    train(parts)
    for name in ("model.safetensors", "trainer.safetensors", "config.json"):
        assert (tmp_path / "whole" / "last" / name).read_bytes() == (tmp_path / "parts" / "last" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", list_optimizers())
def test_optimizers(name, root, tmp_path, die_after):
    changes = {**SMALL, "optim.opt": name}
    if name in REFUSED and not torch.cuda.is_available():
        with pytest.raises(UserError) as caught:
            train(tiny(root, tmp_path / "run", {**STEPS, **changes}))
        assert str(caught.value).startswith(REFUSED[name])
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()
        return
    _check(root, tmp_path, die_after, changes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # it recommends a package
def test_kron_with_what_it_needs(root, tmp_path, die_after):
    """It compiles its step for each shape, which takes minutes."""
    changes = {"optim.opt": "kron", "optim.kwargs": {"flatten": True, "deterministic": True}, "model.kwargs": NARROW}
    _check(root, tmp_path, die_after, changes)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, root, tmp_path, die_after):
    name, size, kwargs = FAMILIES[family]
    _check(root, tmp_path, die_after, {"model.name": name, "data.img_size": size, "model.kwargs": kwargs})


@pytest.mark.slow
def test_no_family_is_left_out():
    assert sorted(FAMILIES) == sorted({*timm.list_modules(), "atmnet"})
