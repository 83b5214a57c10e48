"""SIGKILL at any moment: every checkpoint found is whole, and the run that is started again ends with the same bits."""

import random
import shutil

import pytest

from atmnet.engine import read_metrics, train
from tests.engine.runs import RANDOM, assert_same_run, complete_checkpoints, litter, metrics, tiny
from tests.processes import call, start

#: Lines and checkpoints fall on steps of their own. A save takes about as long as a step: kills meet both.
CHANGES = {**RANDOM, "checkpoint_every": 3, "log_every": 5, "evaluate_every": 4}


def _kill_often(root, tmp_path, whole, changes, kills, seed):
    """Kill a run ``kills`` times, each after a small part of the time that ``whole`` took; then let it end."""
    seconds = read_metrics(whole)[-1]["seconds"]
    options, chance = tiny(root, tmp_path / "parts", changes), random.Random(seed)
    reached: list = []
    while len(reached) < kills or not any(reached):
        process = start(train, options)
        process.join(chance.uniform(0.2, 0.4 + 0.8 * seconds / kills))
        if process.exitcode == 0:  # the machine is faster than when it was timed: all kills anew, in less time
            shutil.rmtree(tmp_path / "parts")
            reached, seconds = [], seconds / 2
            continue
        assert process.exitcode is None, "failed before it could be killed"
        process.kill()
        process.join()
        reached.append(complete_checkpoints(tmp_path / "parts")[-1:])
        if not any(reached):  # the machine is slower than when it was timed
            seconds *= 1.5
    assert call(train, options) == 0
    assert_same_run(whole, tmp_path / "parts")
    assert len({(line["kind"], line["step"]) for line in metrics(tmp_path / "parts")}) == len(
        metrics(tmp_path / "parts")
    )
    assert litter(tmp_path / "parts") == []
    return reached


@pytest.mark.parametrize("workers", [0, 2])
def test_three_kills(root, trained, tmp_path, workers):
    changes = {**CHANGES, "epochs": 8}
    reached = _kill_often(root, tmp_path, trained(changes), {**changes, "data.workers": workers}, 3, seed=workers)
    assert any(reached)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_twenty_kills(root, trained, tmp_path, workers):
    changes = {**CHANGES, "epochs": 90, "optim.warmup_epochs": 5, "evaluate_every": 25, "data.workers": workers}
    reached = _kill_often(root, tmp_path, trained(changes), changes, 20, seed=10 + workers)
    assert len({str(path) for path in reached}) > 8
