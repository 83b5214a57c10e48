"""Things that take long to make, made once for all workers of pytest-xdist."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

Made = TypeVar("Made")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """What ``make`` returns for a new folder. The first worker that asks calls it; what it returns must be picklable.

    Args:
        factory: The session's temporary folders.
        name: What is made; the same name in every worker.
        make: Takes an empty folder that stays for the session. Tests share what it writes, so they leave it as it is.
    """
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder, result = folder / "shared" / name, folder / "shared" / f"{name}.pickle"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not result.exists():
            folder.mkdir()
            result.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(result.read_bytes())
