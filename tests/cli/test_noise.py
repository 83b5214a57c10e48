"""Commands as people run them: nothing on stderr but what they are for, no warnings of libraries.

Training, and predicting into a pipe, are run as a shell does it, imports included; the others in forks.
"""

import json
import subprocess
import sys

import pytest

from tests.data.tiny import png_header
from tests.processes import atmnet


def _epochs(errors):
    """Lines of a training's stderr without those that tell after some seconds how far it is."""
    return [line.partition(":")[0] for line in errors.splitlines() if not line.startswith("step ")]


def test_train(quick, tmp_path):
    """With all that libraries like to warn about: loader processes, half precision, augmentation, one channel."""
    quick += [
        "--data.workers=2", "--precision=bf16", "--augment.auto_augment=rand-m9-mstd0.5-inc1", "--augment.mixup=0.8",
        "--model.drop_path=0.1", "--model.grad_checkpointing=true", "--ema=0.9", "--accumulate=2",
    ]  # fmt: skip
    line = [sys.executable, "-m", "atmnet_cli", *map(str, quick)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0
    assert _epochs(done.stderr) == ["epoch 1", "epoch 2"]
    source, *told = done.stdout.splitlines()
    assert source == "data.source: folder, from train: 3 class folders"
    length, weights = told[0].split(", from ")
    assert length == "training atmnet_nano on 24 images of 3 classes: 2 epochs of 3 steps of 8"
    assert weights == "random weights; so few usually need pretrained ones: --model.weights"
    assert told[1].startswith("done in ")
    assert told[2].startswith("process time ")
    assert told[2].endswith(f"metrics in {tmp_path / 'run' / 'metrics.jsonl'}")
    assert len(told) == 3


def test_fine_tune_and_evaluate(quick, run, tmp_path):
    done = atmnet(*quick, "--model.weights", run, "--optim.layer_decay=0.8")
    assert done.returncode == 0
    assert _epochs(done.stderr) == ["epoch 1", "epoch 2"]
    done = atmnet("evaluate", tmp_path / "run", "--data.workers=2", "--data.root", quick[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["images"] == 12


def test_predict(run, root, tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_header(12_000, 12_000))  # of which Pillow warns
    done = atmnet("predict", run, root / "val" / "two", tmp_path / "bomb.png", "--format=jsonl")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"atmnet: {tmp_path}/bomb.png: ")
    assert [list(json.loads(line)) for line in done.stdout.splitlines()] == [["image", "predictions"]] * 4 + [
        ["image", "error"]
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "--output={0}/run", "--data.root={0}/no"], "data.root: {0}/no: no such folder"),
        (["predict", "atmnet_nano", "{0}/no.png"], "images: {0}/no.png: no such file or folder"),
        (["evaluate", "atmnet_nano", "--weights={0}/no.pth"], "{0}/no.pth: no such file or folder"),
    ],
    ids=["train", "predict", "evaluate"],
)
def test_a_mistake(arguments, told, tmp_path):
    done = atmnet(*(argument.format(tmp_path) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"atmnet: error: {told.format(tmp_path)}\n"


def test_a_reader_that_goes_away(run, root):
    """As in ``atmnet predict ... | head -1``."""
    line = [sys.executable, "-m", "atmnet_cli", "predict", str(run), str(root), "--format=jsonl"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
    process.stderr.close()
