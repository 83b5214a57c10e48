"""A run records the source that it recognised and the division that it made, and keeps both when it resumes."""

import json

import pytest

from atmnet.engine import train
from atmnet.engine.chosen_data import choose_data
from atmnet_cli.options import DataOptions, ModelOptions, TrainOptions
from tests.data.test_own_split import write_classes
from tests.data.tiny_dense import write_picture
from tests.engine.runs import NARROW

pytestmark = pytest.mark.engine


def test_a_run_keeps_its_source_and_its_division(tmp_path):
    root = write_classes(tmp_path / "data")
    options = TrainOptions(
        output=str(tmp_path / "run"),
        data=DataOptions(root=str(root), workers=0),
        model=ModelOptions(name="atmnet_nano", kwargs=NARROW),
        epochs=1,
        batch_size=8,
    )
    train(options)
    recorded = json.loads((tmp_path / "run" / "options.json").read_text())
    assert recorded["data"]["source"] == "folder"
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert {name: len(names) for name, names in split.items()} == {"train": 16, "val": 4}
    write_picture(root / "cat" / "later.png", (8, 8), seed=999)
    chosen, line = choose_data(options)
    assert (chosen.data.source, line) == ("folder", "")
    assert chosen.data.split_file == str(tmp_path / "run" / "split.json")
    train(options)  # refused if the division were made again, since the data would have changed
