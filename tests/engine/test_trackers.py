"""Experiment trackers get each line of metrics.jsonl once, in order, and never end a run."""

import json
import os
import sqlite3
from contextlib import closing
from functools import partial

import pytest

from atmnet.engine import read_metrics, trackers, train, trainer
from atmnet_cli.errors import UserError
from tests.engine.runs import tiny
from tests.processes import Command


class Recorder:
    """A tracker that keeps what it gets, by id, as a server would."""

    runs: dict = {}  # noqa: RUF012 - stands for the server

    def __init__(self, folder, options, id):
        self.id = id or f"run {len(self.runs)}"
        self.rows = self.runs.setdefault(self.id, [])
        assert options["batch_size"] == 8

    def log(self, values, step):
        self.rows.append((step, dict(values)))

    def close(self):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(Recorder, "runs", {})
    monkeypatch.setitem(trackers.TRACKERS, "wandb", ("json", Recorder))
    return Recorder.runs


def _expected(folder):
    return [
        (
            line["step"],
            {f"{line['kind']}/{k}": v for k, v in line.items() if k not in ("kind", "step") and v is not None},
        )
        for line in read_metrics(folder)
    ]


def test_a_killed_run_goes_on_in_the_same_run_of_the_tracker(root, tmp_path, die_after, server):
    options = tiny(root, tmp_path / "run", {"trackers": ["wandb"]})
    for steps in (5, 6):
        with pytest.raises(die_after(steps)):
            train(options)
    die_after(None)
    train(options)
    (rows,) = server.values()
    expected = _expected(tmp_path / "run")
    assert [step for step, _ in rows] == [step for step, _ in expected] == [5, 6, 10, 12, 12]
    for (_, ours), (_, theirs) in zip(rows, expected, strict=True):
        assert {k: v for k, v in ours.items() if "second" not in k} == {
            k: v for k, v in theirs.items() if "second" not in k
        }


def test_a_tracker_that_is_added_later_gets_all_lines(root, tmp_path, die_after, server):
    with pytest.raises(die_after(9)):
        train(tiny(root, tmp_path / "run"))
    die_after(None)
    train(tiny(root, tmp_path / "run", {"trackers": ["wandb"]}))
    (rows,) = server.values()
    assert rows == _expected(tmp_path / "run")


@pytest.mark.parametrize("method", ["__init__", "log", "close"])
def test_a_tracker_that_fails_does_not_end_the_run(root, tmp_path, monkeypatch, capfd, server, method):
    def fail(*_):
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(Recorder, method, fail)
    train(tiny(root, tmp_path / "run", {"trackers": ["wandb"]}))
    said = capfd.readouterr()
    assert (said.out + said.err).count("trackers: wandb: no network at all; the run goes on without it") == 1
    assert read_metrics(tmp_path / "run")[-1]["step"] == 12


def test_a_missing_library_is_named_before_work(root, tmp_path, monkeypatch):
    monkeypatch.setitem(trackers.TRACKERS, "mlflow", ("no_such_library", Recorder))
    with pytest.raises(UserError, match="trackers: mlflow is not installed"):
        train(tiny(root, tmp_path / "run", {"trackers": ["mlflow"]}))
    assert not (tmp_path / "run").exists()


def _end(options, killed):
    """Train, and end after some steps; the libraries' own processes end with this one."""
    step = trainer.Trainer._take_step

    def take_step(self, batches):
        if self.step == 7:
            if killed:
                os._exit(9)
            raise UserError("the end")
        step(self, batches)

    trainer.Trainer._take_step = take_step
    train(options)


def _ended_and_resumed(options, killed, **environment):
    for work in (partial(_end, killed=killed), train):
        finished = Command(work, options, **environment).finish()
        assert finished.returncode == (0 if work is train else 9 if killed else 1), finished


def test_mlflow_has_the_numbers_of_the_run(root, tmp_path):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    path, run = tmp_path / "mlflow.db", tmp_path / "run"
    options = tiny(root, run, {"trackers": ["mlflow"]})
    _ended_and_resumed(options, True, MLFLOW_TRACKING_URI=f"sqlite:///{path}", PYTHONWARNINGS="ignore")
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        assert base.execute("SELECT value FROM params WHERE key = 'optim.lr'").fetchall() == [("0.001",)]
        for name in ("train/loss", "evaluate/top1"):
            kind, _, key = name.partition("/")
            expected = [(line["step"], line[key]) for line in read_metrics(run) if line["kind"] == kind]
            rows = base.execute("SELECT step, value FROM metrics WHERE key = ? ORDER BY step", (name,)).fetchall()
            assert rows == expected


def _history(path):
    """The rows in a file of W&B: a header of 7 bytes, then records in blocks of 32 KiB as LevelDB writes them."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, record = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the end of one
            parsed, record = Record.FromString(record), b""
            if parsed.HasField("history"):
                yield {
                    "/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in parsed.history.item
                }


def test_wandb_has_the_numbers_of_the_run(root, tmp_path):
    pytest.importorskip("wandb")
    run = tmp_path / "run"
    _ended_and_resumed(tiny(root, run, {"trackers": ["wandb"]}), False, WANDB_MODE="offline")
    files = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2  # one for each start
    assert len({path.name for path in files}) == 1  # of one run
    rows = [row for path in files for row in _history(path)]
    for name in ("train/loss", "evaluate/top1"):
        kind, _, key = name.partition("/")
        expected = [(line["step"], line[key]) for line in read_metrics(run) if line["kind"] == kind]
        assert [(row["_step"], row[name]) for row in rows if name in row] == expected
