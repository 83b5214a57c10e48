"""Data to train on, complete runs to share, and a way to let a run die."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from atmnet.engine import train
from atmnet.engine import trainer as training
from tests.data.tiny import write_digits
from tests.engine.runs import tiny
from tests.leftovers import no_leftovers, own_temporary_folder  # noqa: F401 - fixtures
from tests.shared import made_once


class Died(Exception):
    """The process is gone."""


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Digits in folders; shared, so left as they are."""
    return made_once(tmp_path_factory, "digits", write_digits)


@pytest.fixture(scope="session")
def trained(root, tmp_path_factory) -> Callable[[dict[str, Any]], Path]:
    """A function: the folder of a complete run with these changes, made without loader processes, which do not matter.

    Tests share it, so they leave it as it is.
    """
    folders: dict[str, Path] = {}

    def folder_of(changes: dict[str, Any]) -> Path:
        changes = {name: value for name, value in changes.items() if name != "data.workers"}
        key = json.dumps(changes, sort_keys=True)
        if key not in folders:
            name = f"trained-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
            folders[key] = made_once(tmp_path_factory, name, lambda folder: train(tiny(root, folder / "run", changes)))
        return folders[key]

    return folder_of


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def die_after(monkeypatch):
    """A function: let the run that comes next die as it computes its (n + 1)-th loss, in the middle of a step."""
    compute = training.Trainer._loss

    def arrange(losses: int | None) -> type[Died]:
        left = [losses]

        def loss(trainer, batch, part):
            if left[0] is not None:
                if left[0] == 0:
                    raise Died
                left[0] -= 1
            return compute(trainer, batch, part)

        monkeypatch.setattr(training.Trainer, "_loss", loss)
        return Died

    return arrange
