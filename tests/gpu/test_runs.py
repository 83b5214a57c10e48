"""Training, evaluation and export on a CUDA device."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from atmnet.engine import train
from atmnet.engine.auto_batch import measure_share
from atmnet_cli.command import main
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


def test_commands_take_a_run_of_a_gpu(root, tmp_path, capsys):
    """What a run of a GPU answers there, it answers on a CPU."""
    run = train(tiny(root, tmp_path / "run", {"device": "cuda"}))
    picture = next(root.glob("val/*/*"))
    scores, vectors = {}, {}
    for device in ("cuda", "cpu"):
        features = tmp_path / f"{device}.npz"
        for command in (
            ["evaluate", run / "last", "--report", tmp_path / f"{device}.html"],
            ["embed", run / "last", picture, "--output", features],
            ["predict", run / "last", picture, "--format", "jsonl"],
        ):
            capsys.readouterr()
            assert main([*map(str, command), "--device", device]) == 0
        scores[device] = json.loads(capsys.readouterr().out)
        vectors[device] = np.load(features)["features"]
    assert scores["cuda"].keys() == scores["cpu"].keys()
    np.testing.assert_allclose(vectors["cuda"], vectors["cpu"], rtol=1e-3, atol=1e-4)


def test_auto_batch(root, tmp_path, monkeypatch):
    """The largest batch that fits into a part of the memory, which half of that part does not hold."""
    options = tiny(root, tmp_path, {"device": "cuda", "data.img_size": 160, "augment.mixup": 0.5})
    whole = measure_share(options)
    assert whole.images == 24  # all of them
    assert 0 < whole.needed < whole.limit
    part = int(0.6 * whole.needed / 0.9)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (part, part))
    share = measure_share(options)
    assert share.needed <= share.limit
    assert 2 <= share.images < 24
    assert share.images % 2 == 0  # Mixup takes pairs
    train(replace(options, batch_size=share.images, output=str(tmp_path / "run"), epochs=1))
