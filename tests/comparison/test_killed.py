"""A comparison that is killed and started again ends with the same numbers."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.comparison.conftest import MODELS
from tests.leftovers import own_temporary_folder  # noqa: F401 - fixture


def _start(recipe: Path, output: Path, jobs: int) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "atmnet_cli", "compare", "--config", str(recipe), "--output", str(output),
        f"--jobs={jobs}",
    ]  # fmt: skip
    with recipe.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _workers(output: Path) -> list[int]:
    """Processes of a comparison, from /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"atmnet.comparison.worker" in arguments and str(output).encode() in arguments:
            found.append(int(path.parent.name))
    return found


def _without_times(path: Path) -> dict:
    results = json.loads(path.read_text())
    del results["times"]
    return results


@pytest.fixture
def recipe(root, tmp_path):
    content = {
        "models": MODELS, "seeds": 2, "lrs": [1e-4, 1e-3], "epochs": 12, "batch_size": 8, "threads": 1,
        "data": {"root": str(root), "workers": 0, "img_size": 32}, "optim": {"warmup_epochs": 1},
        "checkpoint_every": 4, "evaluate_every": 4, "device": "cpu",
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_ten_times(recipe, tmp_path, jobs):
    """Sometimes the command is killed, sometimes one of its processes; its other processes end by themselves."""
    whole = _start(recipe, tmp_path / "whole", 1)
    assert whole.wait() == 0, recipe.with_suffix(".log").read_text()
    output, rng, kills = tmp_path / "killed", random.Random(jobs), 0
    while True:
        process = _start(recipe, output, jobs)
        deadline = time.monotonic() + rng.uniform(5, 25)
        while process.poll() is None and (kills == 10 or time.monotonic() < deadline):
            time.sleep(0.1)
        if process.poll() is not None:
            assert process.returncode == 0, recipe.with_suffix(".log").read_text()
            break
        workers = _workers(output)
        if workers and kills % 2:
            os.kill(rng.choice(workers), signal.SIGKILL)
            kills += 1
            time.sleep(rng.uniform(0, 3))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert _without_times(output / "compare.json") == _without_times(tmp_path / "whole" / "compare.json")
    for _ in range(100):
        if not _workers(output):
            break
        time.sleep(0.1)
    assert not _workers(output)
