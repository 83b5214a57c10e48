"""`atmnet evaluate --calibrate`: one temperature, recorded in the checkpoint, for all commands and exported files."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from atmnet.files import write_json
from atmnet.records import read_json

DATA = ("--data.source=digits", "--data.workers=0", "--device=cpu")


@pytest.fixture
def checkpoint(tmp_path):
    """The shipped classifier of digits as a checkpoint of the user's own."""
    from atmnet.models.store import find_weights

    folder = find_weights("atmnet_nano.digits")
    assert folder is not None
    return shutil.copytree(folder, tmp_path / "checkpoint")


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def _probabilities(atmnet, model, picture):
    record = json.loads(atmnet("predict", model, picture, "--format=jsonl", "--top=10", "--device=cpu").out)
    return {each["class"]: each["probability"] for each in record["predictions"]}


def test_every_command_uses_it(atmnet, checkpoint, picture, tmp_path):
    raw, before = _probabilities(atmnet, checkpoint, picture), json.loads(atmnet("evaluate", checkpoint, *DATA).out)
    result = atmnet("evaluate", checkpoint, *DATA, "--calibrate=true", "--report", tmp_path / "page.html")
    assert result.status == 0
    metrics = json.loads(result.out)
    assert metrics["loss"] < before["loss"]
    assert metrics["top1"] == before["top1"]
    assert metrics["temperature"] == read_json(checkpoint / "config.json")["calibration_temperature"] != 1
    assert '<section id="calibration">' in (tmp_path / "page.html").read_text(encoding="utf-8")
    again = json.loads(atmnet("evaluate", checkpoint, *DATA).out)
    assert again == {key: value for key, value in metrics.items() if key != "ece_uncalibrated"}
    calibrated = _probabilities(atmnet, checkpoint, picture)
    assert calibrated == pytest.approx(_tempered(raw, metrics["temperature"]), abs=1e-6)
    refitted = json.loads(atmnet("evaluate", checkpoint, *DATA, "--calibrate=true").out)
    assert refitted["temperature"] == metrics["temperature"]  # fitted to the logits, not to what they became


def test_a_temperature_out_of_range_is_refused(atmnet, checkpoint, picture):
    config = read_json(checkpoint / "config.json")
    for value in (0, -1, 1e6, "2"):
        write_json(checkpoint / "config.json", {**config, "calibration_temperature": value})
        assert "calibration_temperature: got" in atmnet("predict", checkpoint, picture).error


def test_what_cannot_be_calibrated(atmnet, checkpoint):
    assert "atmnet_nano.digits is none" in atmnet("evaluate", "atmnet_nano.digits", *DATA, "--calibrate=true").error
    error = atmnet("evaluate", checkpoint, *DATA, "--calibrate=true", "--data.img_size=48").error
    assert "leave data.img_size out" in error


def _tempered(probabilities, temperature):
    powers = {name: p ** (1 / temperature) for name, p in probabilities.items()}
    return {name: power / sum(powers.values()) for name, power in powers.items()}
