"""Two processes under torchrun do what one does with the same batch."""

import json
import os
import subprocess
import sys

import pytest

from atmnet.engine import train
from atmnet.engine import trainer as training
from atmnet_cli.command import main
from tests.engine.runs import arguments, assert_same_run, complete_checkpoints, losses, metrics, tiny, weights
from tests.processes import torchrun

#: Drop path and dropout draw for a share at a time; all else draws for an image or a whole step.
CHANGES = {
    "augment.auto_augment": "rand-m9-mstd0.5-inc1",
    "augment.erase": 0.5,
    "augment.mixup": 0.8,
    "augment.cutmix": 1.0,
    "epochs": 7,
    "evaluate_every": 2,
    "log_every": 1,
    "ema": 0.9,
}


def _fail(options, steps, ranks):
    """Train until a process of one of these ranks fails after so many steps."""
    compute, taken = training.Trainer._loss, []

    def loss(*arguments):
        if len(taken) == steps and os.environ["RANK"] in ranks:
            # The other process notices, and the agent may end this one before it has printed its traceback.
            print("made to fail", file=sys.stderr, flush=True)
            raise RuntimeError("made to fail")
        taken.append(None)
        return compute(*arguments)

    training.Trainer._loss = loss
    train(options)


def test_the_command_under_torchrun(root, trained, tmp_path):
    """As it is typed, and with its messages once."""
    two = arguments(tiny(root, tmp_path / "two", CHANGES), tmp_path)
    line = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        f"--log-dir={tmp_path / 'logs'}",  # by default, a temporary folder that the agent may leave behind
        "-m",
        "atmnet_cli",
        *two,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("training atmnet_nano on 24 images") == 1
    assert done.stderr.count("epoch 7: top-1") == 1
    _assert_same_losses_and_metrics(trained(CHANGES), tmp_path / "two")

    done = torchrun(main, ["evaluate", str(tmp_path / "two" / "last")])
    assert done.stdout.count('"loss"') == 1  # once, not by each process
    printed = json.loads(done.stdout.splitlines()[-1])  # older versions of gloo print something before it
    last = metrics(tmp_path / "two")[-1]
    assert printed == pytest.approx({key: last[key] for key in printed}, rel=1e-6)


def _assert_same_losses_and_metrics(one, two):
    a, b = metrics(one), metrics(two)
    assert len(a) == 21 + 4
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    for key in ("kind", "step", "top1", "top5", "images", "images_seen", "lr"):
        assert [line.get(key) for line in a] == [line.get(key) for line in b]


def test_same_losses_and_metrics_in_parts(root, trained, tmp_path):
    """Each process takes its share of a step in two parts, and has a loader process."""
    done = torchrun(train, tiny(root, tmp_path / "two", {**CHANGES, "accumulate": 2, "data.workers": 1}))
    assert done.returncode == 0, done.stderr
    _assert_same_losses_and_metrics(trained(CHANGES), tmp_path / "two")


def test_one_failing_process_fails_all(root, trained, tmp_path):
    """And at once, not when the other has waited in vain; the last checkpoint serves one process, too."""
    options = tiny(root, tmp_path / "run", {**CHANGES, "checkpoint_every": 2})
    failed = torchrun(_fail, options, 5, ["1"])
    assert failed.returncode != 0
    assert "made to fail" in failed.stderr
    assert [path.name for path in complete_checkpoints(tmp_path / "run")][-1] == "step-00000004"
    train(options)
    assert losses(tmp_path / "run") == pytest.approx(losses(trained(CHANGES)), rel=1e-5)


@pytest.mark.slow
def test_resumed_by_two_processes_with_the_same_bits(root, tmp_path):
    changes = {**CHANGES, "model.drop_path": 0.2, "log_every": 5, "checkpoint_every": 4}
    whole, parts = (tiny(root, tmp_path / name, changes) for name in ("whole", "parts"))
    assert torchrun(train, whole).returncode == 0
    assert torchrun(_fail, parts, 6, ["0", "1"]).returncode != 0
    assert torchrun(train, parts).returncode == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert weights(tmp_path / "whole")
