"""Tiny comparisons on digits in folders."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from atmnet_cli.options import CompareOptions
from tests.data.tiny import write_digits
from tests.engine.runs import NARROW, tiny
from tests.leftovers import no_leftovers, own_temporary_folder  # noqa: F401 - fixtures
from tests.shared import made_once

pytest.importorskip("scipy")

#: Two models that train in a second.
MODELS: list[Any] = [{"name": "atmnet_nano", "label": "narrow", "kwargs": NARROW}, "test_resnet"]


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return made_once(tmp_path_factory, "compared_digits", write_digits)


def compare_options(root: Path, output: Path, **changes: Any) -> CompareOptions:
    """Two models on 24 images, two epochs with two seeds; options of training by their dotted names."""
    own = {name: changes.pop(name) for name in list(changes) if name in CompareOptions.__annotations__}
    train = tiny(root, output, {"model.name": "atmnet_tiny", "epochs": 2, "data.img_size": 32, **changes})
    values = {name: getattr(train, name) for name in asdict(train)}
    return CompareOptions(**values, **{"models": MODELS, "seeds": 2, **own})
