"""`--data.range` from training to prediction: pictures of 12 bits give what the same pictures in 8 bits give."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atmnet.data.sources import SOURCES, open_split
from atmnet.engine import train
from atmnet.export.frame import metadata
from atmnet.integrations.hub import from_pretrained, save_pretrained
from atmnet.tasks import load_classifier
from atmnet_cli.options import DataOptions
from tests.data.tiny import write_digits
from tests.data.tiny_dense import write_ade20k, write_coco
from tests.engine.runs import tiny

LOW, HIGH = 100, 4195


def to_12_bits(folder):
    """Replace the pictures below a folder by grey ones that use the values of the range."""
    for path in (path for path in folder.rglob("*") if path.suffix in (".png", ".jpg")):
        grey = np.asarray(Image.open(path).convert("L"))
        Image.fromarray(np.rint(LOW + grey * ((HIGH - LOW) / 255)).astype(np.uint16)).save(path, "PNG")
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two folders of data and of runs: of 8 bits, and of 12 bits."""
    folders = {}
    for name, changes in (("8", {}), ("12", {"data.range": (LOW, HIGH)})):
        data = write_digits(tmp_path_factory.mktemp(name))
        if changes:
            to_12_bits(data)
        folders[name] = data, train(tiny(data, data / "run", changes))
    return folders


def answers(atmnet, model, data, note=""):
    result = atmnet("predict", model, data / "val", "--format=jsonl", "--device=cpu")
    assert result.status == 0
    assert result.err.count("\n") == bool(note)
    assert note in result.err
    lines = [json.loads(line) for line in result.out.splitlines()]
    return [{**line, "image": Path(line["image"]).name} for line in lines]


def test_same_weights(pair):
    eight, twelve = ((run / "last" / "model.safetensors").read_bytes() for _, run in pair.values())
    assert eight == twelve


def test_same_answers(atmnet, pair):
    (data, run), (data_12, run_12) = pair.values()
    expected = answers(atmnet, run, data)
    assert answers(atmnet, run_12, data_12) == expected
    note = "more than 8 bits but no value above 4179, so it is nearly black where 65535 is white"
    assert answers(atmnet, run, data_12, note) != expected


def test_same_evaluation(atmnet, pair):
    out = [atmnet("evaluate", run, "--device=cpu").out for _, run in pair.values()]
    assert '"top1"' in out[0]
    eight, twelve = (text.replace(str(run), "RUN") for text, (_, run) in zip(out, pair.values(), strict=True))
    assert eight == twelve


def test_what_is_written_has_the_range(pair, tmp_path):
    run = pair["12"][1]
    for classifier in (load_classifier(str(run)), from_pretrained(save_pretrained(run, tmp_path / "hub"))):
        assert classifier.range == (LOW, HIGH)
        assert json.loads(metadata(classifier, classifier.config, "uint8")["range"]) == [LOW, HIGH]


@pytest.mark.parametrize(
    ("source", "kind", "split", "write"),
    [
        ("folder", "classification", "train", write_digits),
        ("coco", "detection", "train", write_coco),
        ("ade20k", "segmentation", "training", write_ade20k),
    ],
)
def test_every_reader_takes_it(source, kind, split, write, tmp_path):
    eight, twelve = write(tmp_path / "8"), write(tmp_path / "12")
    to_12_bits(twelve / "train" if source == "coco" else twelve / "images" if source == "ade20k" else twelve)
    names = {"train": split, "val": split}  # there is only this split
    expected = open_split(DataOptions(source=source, root=str(eight), **names), split, kind)
    given = open_split(DataOptions(source=source, root=str(twelve), range=(LOW, HIGH), **names), split, kind)
    assert len(expected) == len(given) > 0
    for index in range(len(expected)):
        a, b = (np.asarray(each.load(index, "L")[0]) for each in (expected, given))
        np.testing.assert_array_equal(a, b)


def test_sources_of_files_take_it():
    embedded = [name for name, source in SOURCES.items() if "range" not in source.options]
    assert embedded == ["digits", "pathfinder", "pairs", "scenes"]
