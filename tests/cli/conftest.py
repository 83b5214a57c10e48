"""Commands in this process, a trained run, and data to spoil."""

import shutil
from functools import cache
from typing import NamedTuple

import pytest
import torch

from atmnet.engine import train
from atmnet_cli import command
from tests.data.tiny import write_digits
from tests.engine.runs import tiny
from tests.leftovers import no_leftovers, own_temporary_folder  # noqa: F401 - fixtures
from tests.shared import made_once


class Result(NamedTuple):
    """What a command left: its exit status, stdout and stderr."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what to mend; nothing else is on stderr or stdout, and nobody sees a traceback."""
        assert self.status == 2, self
        assert self.out == ""
        (line,) = self.err.splitlines()
        return self._message(line)

    @property
    def last_error(self) -> str:
        """The same of a command that had begun to work: the last line."""
        assert self.status == 2, self
        *before, line = self.err.splitlines()
        assert not any(other.startswith("atmnet: error:") or "Traceback" in other for other in before)
        return self._message(line)

    @staticmethod
    def _message(line):
        assert line.startswith("atmnet: error: ")
        assert len(line) < 700
        return line.removeprefix("atmnet: error: ")


_build_parser_once = cache(command.build_parser)


@pytest.fixture(autouse=True)
def _one_parser(monkeypatch):
    """Most command lines take less time to parse than the parser takes to build."""
    monkeypatch.setattr(command, "build_parser", _build_parser_once)


@pytest.fixture
def atmnet(capfd):
    """A function: run a command line."""

    def run(*arguments) -> Result:
        capfd.readouterr()
        threads = torch.get_num_threads()
        try:
            status = command.main([str(argument) for argument in arguments])
        finally:
            torch.set_num_threads(threads)
        return Result(status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory):
    return made_once(tmp_path_factory, "digits", write_digits)


@pytest.fixture
def root(shared_root, tmp_path):
    """Digits in folders, to be spoilt."""
    return shutil.copytree(shared_root, tmp_path / "digits")


@pytest.fixture(scope="session")
def run(shared_root, tmp_path_factory):
    """A run that is complete, its weights averaged; not to be changed."""
    changes = {"model.name": "atmnet_nano", "epochs": 4, "ema": 0.5}
    return made_once(tmp_path_factory, "run", lambda folder: train(tiny(shared_root, folder / "digits", changes)))


@pytest.fixture
def quick(root, tmp_path):
    """Arguments of a short training of a small model into tmp_path/run."""
    return [
        "train", "--data.root", root, "--data.workers=0", "--model.name=atmnet_nano", "--epochs=2", "--batch_size=8",
        "--optim.warmup_epochs=1", "--device=cpu", "--threads=1", "--output", tmp_path / "run",
    ]  # fmt: skip
