"""Every way out of a training ends soon, leaves nothing behind, and says how to go on.

What is left behind is looked for after each test of this folder (tests/leftovers.py).
"""

import importlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from atmnet.data import dataset
from atmnet.engine import trainer as training
from atmnet_cli.command import main
from atmnet_cli.errors import UserError
from tests.engine.runs import arguments, complete_checkpoints, metrics, tiny
from tests.leftovers import children
from tests.processes import Command

#: A checkpoint at step 2, and so much time between the checkpoint and the end that nothing else ends it.
CHANGES = {"epochs": 100, "checkpoint_every": 2, "data.workers": 2, "evaluate_every": 100, "log_every": 1}


def _words(root, tmp_path, changes=None):
    return arguments(tiny(root, tmp_path / "run", {**CHANGES, **(changes or {})}), tmp_path)


def _note(moment: Path) -> None:
    moment.touch()


def _fail_at(owner, name, call, moment, error):
    """Let the ``call``-th call of a function fail, and note when."""
    owner = importlib.import_module(owner) if isinstance(owner, str) else owner
    original, calls = getattr(owner, name), []

    def failing(*args, **kwargs):
        calls.append(None)
        if len(calls) == call:
            _note(moment)
            if isinstance(error, BaseException):
                raise error
            error()
        return original(*args, **kwargs)

    setattr(owner, name, failing)


def _main_that_fails(words, *failure):
    _fail_at(*failure)
    return main(words)


def _kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


FAILURES = {
    "loss": (training.Trainer, "_loss", 4, RuntimeError("made to fail"), "RuntimeError: made to fail; "),
    "memory": (training.Trainer, "_loss", 4, MemoryError(), "out of memory; lower batch_size, "),
    "device": (training.Trainer, "_loss", 4, torch.OutOfMemoryError("CUDA out of memory"), "out of memory; lower "),
    "save": (
        training.__name__,
        "save_checkpoint",
        2,
        ZeroDivisionError("made to fail"),
        "ZeroDivisionError: made to fail; ",
    ),
    "sample": (dataset.TrainSet, "__getitem__", 20, KeyError("wrong"), "KeyError: 'wrong'; "),
    "killed": (dataset.TrainSet, "__getitem__", 20, _kill_itself, "a loader process was killed, as the system does "),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_an_unexpected_error(root, tmp_path, kind):
    """The traceback for a report, and then a line; what was saved stays."""
    *failure, error, told = FAILURES[kind]
    command = Command(_main_that_fails, _words(root, tmp_path), *failure, tmp_path / "moment", error)
    status, _, errors = command.finish()
    assert time.time() - (tmp_path / "moment").stat().st_mtime < 10
    assert status == 1
    assert "Traceback (most recent call last)" in errors
    last = errors.splitlines()[-1]
    assert last.startswith(f"atmnet: error: {told}")
    saved = complete_checkpoints(tmp_path / "run")
    if saved:
        assert last.endswith(f"the last checkpoint is {saved[-1]}; run the same command to resume from it")
    else:
        assert last.endswith("there is no checkpoint yet, so the same command starts again")
    if kind in ("loss", "memory", "device", "save"):
        assert saved


def test_an_error_of_the_user_in_a_loader_process(root, tmp_path):
    failure = dataset.TrainSet, "__getitem__", 20, tmp_path / "moment", UserError("data.root: wrong; mend it")
    status, _, errors = Command(_main_that_fails, _words(root, tmp_path), *failure).finish()
    assert status == 2
    assert errors.splitlines()[-1] == "atmnet: error: data.root: wrong; mend it"
    assert "Traceback" not in errors


def _wait_for_step(command, folder, step):
    while not any(line["step"] >= step for line in metrics(folder)):
        assert command.is_running
        time.sleep(0.02)


def _is_running(pid):
    """Also false for a process that has ended and whose status nobody has asked for."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_killed_by_the_system(root, tmp_path):
    """No loader process outlives it by more than seconds; the run that goes on removes an unfinished checkpoint."""
    command = Command(main, _words(root, tmp_path))
    _wait_for_step(command, tmp_path / "run", 2)
    workers = children(command.pid)
    assert len(workers) == 2
    os.kill(command.pid, signal.SIGKILL)
    command.finish()
    deadline = time.monotonic() + 8
    while any(_is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    command = Command(main, _words(root, tmp_path))
    _wait_for_step(command, tmp_path / "run", metrics(tmp_path / "run")[-1]["step"] + 1)
    os.killpg(command.pid, signal.SIGINT)
    assert command.finish(30).returncode == 130


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_the_terminal_is_gone(root, tmp_path):
    """Saved and stopped, though nothing can be printed any more."""
    command = Command(main, _words(root, tmp_path, {"checkpoint_every": 1000}))
    _wait_for_step(command, tmp_path / "run", 1)
    os.killpg(command.pid, signal.SIGHUP)
    status, _, errors = command.finish(30)
    assert status == 130
    assert "stopped and saved after step" in errors.splitlines()[-1]
    assert complete_checkpoints(tmp_path / "run")


def _main_that_evaluates_for_ever(words, moment):
    compute = training.evaluate_model

    def evaluate_model(*args, **kwargs):
        _note(moment)
        time.sleep(600)
        return compute(*args, **kwargs)

    training.evaluate_model = evaluate_model
    return main(words)


def test_a_request_in_an_evaluation_is_met_at_once(root, tmp_path):
    """All is saved before it; the run that goes on evaluates first."""
    words = _words(root, tmp_path, {"evaluate_every": 1, "epochs": 2})
    command = Command(_main_that_evaluates_for_ever, words, tmp_path / "moment")
    while not (tmp_path / "moment").exists():
        assert command.is_running
        time.sleep(0.02)
    os.killpg(command.pid, signal.SIGINT)
    status, _, errors = command.finish(10)
    assert status == 130
    assert errors.splitlines()[-1] == (
        "atmnet: stopped in the evaluation after step 3, which is saved; run the same command to resume"
    )
    status, _, _ = Command(main, words).finish()
    assert status == 0
    assert [line["step"] for line in metrics(tmp_path / "run") if line["kind"] == "evaluate"] == [3, 6]


def _main_with_streams(words, out, err):
    """As after ``>&-`` (None) or ``> FILE`` (a path), of this process's own Python streams."""
    for number, (name, target) in enumerate({"stdout": out, "stderr": err}.items(), start=1):
        os.close(number)
        if target is None:
            setattr(sys, name, None)
        elif target == "pipe":  # that nobody reads
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, number)
            os.close(writer)
        else:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
        if target is not None:
            setattr(sys, name, os.fdopen(number, "w"))
    status = main(words)
    for stream in (sys.stdout, sys.stderr):  # as the interpreter does when it ends
        stream.flush()
    return status


@pytest.mark.parametrize(
    ("out", "err"),
    [(None, "FILE"), ("FILE", None), (None, None), ("pipe", "FILE"), ("FILE", "pipe"), ("/dev/full", "FILE"),
     ("FILE", "/dev/full"), ("/dev/full", "/dev/full")],
)  # fmt: skip
def test_streams_that_are_closed_or_cut_off_or_full(root, tmp_path, out, err):
    """The run comes to its end, and what can be told is told where somebody may see it."""
    output = tmp_path / "output"
    words = _words(root, tmp_path, {"epochs": 1, "data.workers": 0, "optim.warmup_epochs": 0})
    streams = [str(output) if stream == "FILE" else stream for stream in (out, err)]
    assert Command(_main_with_streams, words, *streams).finish().returncode == 0
    assert [path.name for path in complete_checkpoints(tmp_path / "run")][-1] == "step-00000003"
    if "FILE" not in (out, err):
        return
    text = output.read_text()
    if out == "FILE":
        assert "done in" in text
    if err is None:
        assert "epoch 1: top-1" in text
    if out == "pipe" or err == "pipe":
        assert "Broken pipe; the command goes on without it" in text
    if "/dev/full" in (out, err):
        assert "No space left on device; the command goes on without it" in text


@pytest.mark.parametrize("name", [".lock", "options.json", "metrics.jsonl", "checkpoints", "tensorboard"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_no_file_is_opened_through_a_link_or_as_a_pipe(root, tmp_path, name, kind):
    """Somebody's file stays as it is; a pipe, which would wait for another process, is refused as well."""
    (tmp_path / "run").mkdir()
    precious = tmp_path / "precious"
    precious.write_text("{}")
    if kind == "link":
        (tmp_path / "run" / name).symlink_to(precious)
        told = "a symbolic link that leads out of"
    else:
        os.mkfifo(tmp_path / "run" / name)
        told = "expected a regular file"
    with pytest.raises(UserError, match=f"^output: {tmp_path / 'run' / name}: {told}"):
        training.train(tiny(root, tmp_path / "run"))
    assert precious.read_text() == "{}"
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]


def test_a_link_to_within_the_run_is_followed(root, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "last").symlink_to("checkpoints")
    (tmp_path / "run" / "options.json").write_text("{}")
    training.train(tiny(root, tmp_path / "run", {"epochs": 1, "optim.warmup_epochs": 0}))
    assert (tmp_path / "run" / "last").resolve().name == "step-00000003"
