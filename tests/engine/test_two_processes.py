"""Two processes under torchrun do what one does with the same batch."""

import json
import os
import socket
import subprocess
import sys

import pytest

from atmnet.engine import train
from tests.engine.commands import command
from tests.engine.runs import assert_same_run, complete_checkpoints, losses, metrics, tiny, weights

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
#: Lets a process fail at a loss of one's choice.
SCRIPT = """
import os, sys
from atmnet_cli.command import main
from atmnet.engine import trainer as training
compute, left = training.Trainer._loss, [int(os.environ["FAIL_AFTER"])]
def loss(*arguments):
    if left[0] == 0 and os.environ["RANK"] in os.environ["FAIL_RANKS"].split():
        raise RuntimeError("made to fail")
    left[0] -= 1
    return compute(*arguments)
training.Trainer._loss = loss
sys.exit(main(sys.argv[1:]))
"""


def _launcher():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1")
    return (*launcher, "--master-port", str(port))


def _run(line, **environment):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=150)


def _torchrun(options, folder, fail_after=None, fail_ranks=""):
    line = command(options, folder, _launcher())
    if fail_after is None:
        return _run(line)
    (folder / "script.py").write_text(SCRIPT)
    position = line.index("atmnet_cli")
    line[position - 1 : position + 1] = [str(folder / "script.py")]
    return _run(line, FAIL_AFTER=str(fail_after), FAIL_RANKS=fail_ranks)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_same_losses_and_metrics(root, tmp_path, accumulate):
    one = tiny(root, tmp_path / "one", CHANGES)
    two = tiny(root, tmp_path / "two", {**CHANGES, "accumulate": accumulate, "data.workers": accumulate - 1})
    train(one)
    done = _torchrun(two, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("training atmnet_nano on 24 images") == 1
    assert done.stderr.count("epoch 7: top-1") == 1
    a, b = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert len(a) == 21 + 4
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    for key in ("kind", "step", "top1", "top5", "images", "images_seen", "lr"):
        assert [line.get(key) for line in a] == [line.get(key) for line in b]

    if accumulate == 1:
        done = _run([sys.executable, *_launcher(), "-m", "atmnet_cli", "evaluate", str(tmp_path / "two" / "last")])
        assert done.stdout.count('"loss"') == 1  # once, not by each process
        told = json.loads(done.stdout.splitlines()[-1])  # older versions of gloo speak before it
        assert told == pytest.approx({key: b[-1][key] for key in told}, rel=1e-6)


def test_one_failing_process_fails_all(root, tmp_path):
    """And at once, not when the other has waited in vain; the last checkpoint serves one process, too."""
    options = tiny(root, tmp_path / "run", {**CHANGES, "checkpoint_every": 2})
    failed = _torchrun(options, tmp_path, fail_after=5, fail_ranks="1")
    assert failed.returncode != 0
    assert "made to fail" in failed.stderr
    assert [path.name for path in complete_checkpoints(tmp_path / "run")][-1] == "step-00000004"
    train(options)
    train(tiny(root, tmp_path / "one", {**CHANGES, "checkpoint_every": 2}))
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


@pytest.mark.slow
def test_resumed_by_two_processes_with_the_same_bits(root, tmp_path):
    changes = {**CHANGES, "model.drop_path": 0.2, "log_every": 5, "checkpoint_every": 4}
    whole, parts = (tiny(root, tmp_path / name, changes) for name in ("whole", "parts"))
    assert _torchrun(whole, tmp_path).returncode == 0
    assert _torchrun(parts, tmp_path, fail_after=6, fail_ranks="0 1").returncode != 0
    assert _torchrun(parts, tmp_path).returncode == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert weights(tmp_path / "whole")
