"""Training, evaluation and export on a CUDA device."""

import json
import subprocess
import sys

import pytest

from atmnet.engine import train
from tests.engine.conftest import die_after  # noqa: F401
from tests.engine.runs import DETECTOR, RANDOM, SEGMENTER, assert_same_run, metrics, tiny

CLASSIFIERS = {
    "float32, EMA, accumulate": RANDOM,
    "bfloat16, workers": {**RANDOM, "precision": "bf16", "data.workers": 2},
    "float16, channels last": {
        "precision": "fp16",
        "channels_last": True,
        "optim.clip_grad": 1.0,
        "augment.mixup": 0.5,
    },
    "bfloat16, compiled": {"precision": "bf16", "compile": True},
}


@pytest.mark.parametrize("changes", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_same_bits_after_a_death(root, tmp_path, changes, die_after):  # noqa: F811
    whole, parts = (tiny(root, tmp_path / name, {**changes, "device": "cuda"}) for name in ("whole", "parts"))
    train(whole)
    for losses_computed in (2, 5):
        with pytest.raises(die_after(losses_computed * whole.accumulate)):
            train(parts)
    die_after(None)
    train(parts)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("task", [DETECTOR, SEGMENTER], ids=["detector", "segmenter"])
def test_dense_runs_start_as_on_a_cpu(tmp_path, task, precision):
    """The first loss is the CPU's; the run ends, evaluated. Its bits may differ: torchvision adds atomically."""
    short = {"epochs": 2, "evaluate_every": 2, "log_every": 1, "model.drop_path": 0.0, "optim.warmup_epochs": 0}
    train(tiny("", tmp_path / "expected", {**task, **short, "epochs": 1}))
    train(tiny("", tmp_path / "run", {**task, **short, "device": "cuda", "precision": precision}))
    expected, first = (metrics(tmp_path / name)[0]["loss"] for name in ("expected", "run"))
    assert first == pytest.approx(expected, rel=0.05)
    assert (tmp_path / "run" / "best" / "config.json").exists()


def test_commands_take_a_run_of_a_gpu(root, tmp_path):
    run = train(tiny(root, tmp_path / "run", {"device": "cuda"}))
    picture = next(root.glob("val/*/*"))
    printed = {}
    for device in ("cuda", "cpu"):
        command = ["predict", str(run / "last"), str(picture), "--format", "jsonl", "--device", device]
        done = subprocess.run(
            [sys.executable, "-m", "atmnet_cli", *command], capture_output=True, text=True, check=True
        )
        printed[device] = json.loads(done.stdout)
    assert printed["cuda"].keys() == printed["cpu"].keys()
