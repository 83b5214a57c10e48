"""``auto_batch`` finds the largest batch that fits, and the run is that of the same batch size given by hand."""

import json
import os

import pytest

from atmnet.engine import auto_batch, train
from atmnet.engine import trainer as training
from atmnet.engine.auto_batch import Share, largest, measure_share
from atmnet.engine.free_memory import available_memory, peak_memory, reset_peak, resident_memory
from atmnet_cli.command import parse
from atmnet_cli.errors import UserError
from tests.engine.runs import DETECTOR, RANDOM, SEGMENTER, assert_same_run, tiny
from tests.processes import torchrun

pytestmark = pytest.mark.skipif(available_memory() is None, reason="memory is measured on Linux")
GB = 10**9


@pytest.mark.parametrize("smallest", [1, 2])
@pytest.mark.parametrize("most", [2, 3, 7, 24, 100])
def test_the_search_finds_the_limit(smallest, most):
    for limit in range(most + 2):
        tried = []

        def fits(images, limit=limit, tried=tried):
            tried.append(images)
            return images <= limit

        chosen = largest(fits, smallest, most)
        best = min(limit, most) // smallest * smallest
        if best < smallest:
            assert chosen is None
        else:
            assert chosen % smallest == 0
            assert best - max(smallest - 1, best // 16) <= chosen <= best
        assert len(tried) == len(set(tried))
        assert max(tried) <= most


def test_the_smallest_rest_of_all_groups_counts(tmp_path):
    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    assert available_memory(tmp_path) is None
    write("proc/meminfo", "MemTotal: 64000 kB\nMemAvailable:   32000 kB\n")
    assert available_memory(tmp_path) == 32000 * 1024
    write("proc/self/cgroup", "0::/job/step\n")
    write("sys/fs/cgroup/job/step/memory.max", "max\n")
    write("sys/fs/cgroup/job/step/memory.current", "9000\n")
    write("sys/fs/cgroup/job/memory.max", "20000\n")
    write("sys/fs/cgroup/job/memory.current", "15000\n")
    write("sys/fs/cgroup/job/memory.stat", "anon 1\ninactive_file 2000\n")
    assert available_memory(tmp_path) == 7000
    write("proc/self/cgroup", "5:cpu:/a\n4:memory:/a\n0::/\n")
    write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "10000\n")
    write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "4000\n")
    assert available_memory(tmp_path) == 6000


def test_the_peak_of_memory():
    before = resident_memory()
    reset_peak()
    block = bytearray(200_000_000)
    assert peak_memory() - before > 150_000_000
    del block


@pytest.mark.slow
def test_less_memory_means_a_smaller_batch_that_fits(root, tmp_path, monkeypatch):
    options = tiny(root, tmp_path, {"data.img_size": 160, "augment.mixup": 0.5, "optim.opt": "adamw"})
    whole = measure_share(options)
    assert whole.images == 24  # all of them
    monkeypatch.setattr(auto_batch, "resident_memory", lambda: 0)
    halfway = whole.needed - 0.4 * (whole.needed - resident_memory())
    monkeypatch.setattr(auto_batch, "available_memory", lambda: int(halfway / 0.75))
    half = measure_share(options)
    assert half.needed <= half.limit == pytest.approx(halfway, rel=1e-6)
    assert 2 <= half.images < 24
    assert half.images % 2 == 0  # Mixup takes pairs
    monkeypatch.setattr(auto_batch, "available_memory", lambda: 10**6)
    with pytest.raises(UserError, match="2 images at once need"):
        measure_share(options)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [DETECTOR, SEGMENTER], ids=["detector", "segmenter"])
def test_dense_networks(root, tmp_path, changes):
    share = measure_share(tiny(root, tmp_path, changes))
    assert share.images == 24
    assert share.needed <= share.limit


def test_it_is_the_run_with_that_batch_size_and_resumes_with_it(root, tmp_path, monkeypatch, die_after, capsys):
    changes = {**RANDOM, "accumulate": 1}
    monkeypatch.setattr(training, "measure_share", lambda *_: Share(6, 1 * GB, 2 * GB))
    train(tiny(root, tmp_path / "given", {**changes, "batch_size": 6}))
    automatic = tiny(root, tmp_path / "run", {**changes, "auto_batch": True})
    with pytest.raises(die_after(10)):
        train(automatic)
    assert "auto_batch: 6 images per step; 6 at once take 1.00 of 2.00 GB" in capsys.readouterr().out
    die_after(None)
    monkeypatch.setattr(training, "measure_share", None)  # memory is not measured again
    train(automatic)
    assert_same_run(tmp_path / "given", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "options.json").read_text())["batch_size"] == 6
    train(tiny(root, tmp_path / "run", {**changes, "batch_size": 6}))  # the same run, whichever way it is asked for
    with pytest.raises(UserError, match="batch_size was 6, is 8"):
        train(tiny(root, tmp_path / "run", {**changes, "batch_size": 8}))


def test_the_trial_leaves_no_trace(root, tmp_path):
    """A real measurement, and then the bits of a run without one."""
    train(tiny(root, tmp_path / "given", {"batch_size": 24}))
    train(tiny(root, tmp_path / "run", {"auto_batch": True}))
    assert_same_run(tmp_path / "given", tmp_path / "run")


def _train_with_shares(options):
    training.measure_share = lambda *_: Share(3 + int(os.environ["RANK"]), 1 * GB, 2 * GB)
    train(options)


def test_several_processes_take_the_smallest(root, tmp_path):
    done = torchrun(_train_with_shares, tiny(root, tmp_path / "run", {"auto_batch": True, "epochs": 1}))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "options.json").read_text())["batch_size"] == 6


def test_it_is_refused_beside_a_batch_size(tmp_path):
    arguments = ["train", "--config", "finetune", "--output", str(tmp_path / "run"), "--auto_batch", "true"]
    assert parse(arguments)[1].auto_batch  # the recipe's batch size is replaced
    with pytest.raises(UserError, match=r"^auto_batch: it chooses the batch size; leave out batch_size"):
        parse([*arguments, "--batch-size=8"])


def test_a_folder_of_others_is_refused_before_measuring(root, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "measure_share", None)
    (tmp_path / "letter.txt").touch()
    with pytest.raises(UserError, match="holds files that are not a run's"):
        train(tiny(root, tmp_path, {"auto_batch": True}))
