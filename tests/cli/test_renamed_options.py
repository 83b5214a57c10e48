"""Options under their old names are refused with the new name; runs and checkpoints recorded under them still work."""

import json
import shutil

import pytest

from atmnet.engine import read_options, train
from atmnet.tasks import load_network
from atmnet_cli.options import DenseOptions, ModelOptions, TrainOptions
from atmnet_cli.renamed import RENAMED, translate
from tests.engine.runs import SEGMENTER, tiny


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (["train", "--amp=bf16"], "amp", "precision"),
        (["train", "--model.checkpoint=f.pth"], "model.checkpoint", "model.weights"),
        (["train", "--dense.crop=512"], "dense.crop", "dense.crop_size"),
        (["train", "--dense.sides=[800]"], "dense.sides", "dense.img_sizes"),
        (["train", "--dense.longest=1333"], "dense.longest", "dense.max_img_size"),
        (["evaluate", "run", "--amp=bf16"], "amp", "precision"),
        (["benchmark", "--dtype=float16"], "dtype", "precision"),
        (["evaluate", "run", "--windows.flip=true"], "windows.flip", "flip"),
        (["models", "--size=224"], "size", "img_size"),
        (["make-scenes", "folder", "--side=64"], "side", "img_size"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_old_name_is_refused_with_the_new_one(atmnet, arguments, old, new):
    assert atmnet(*arguments).error == f"option '{old}' is now called '{new}'"


def test_an_old_name_in_a_recipe_is_refused_too(atmnet, tmp_path):
    (tmp_path / "mine.yaml").write_text("amp: bf16\n")
    told = atmnet("train", "--config", tmp_path / "mine.yaml", "--output", tmp_path / "run").error
    assert "option 'amp' is now called 'precision'" in told


def test_old_arguments_of_scenes(atmnet, tmp_path):
    told = atmnet(
        "train", "--model.head=fcos", "--data.source=scenes", "--data.kwargs.side=64", "--output", tmp_path / "run"
    ).error
    assert told == "data.kwargs: side is now called img_size"


@pytest.mark.parametrize("option", ["--batch-size=5", "--batch_size=5"])
def test_hyphens_are_as_good_as_underscores(atmnet, run, option):
    assert json.loads(atmnet("evaluate", run, option, "--device=cpu").out)["images"] == 12
    assert "batch_size: got 0" in atmnet("evaluate", run, "--batch-size", "0").error


def test_an_unknown_option_is_named_as_it_was_typed(atmnet):
    assert (
        atmnet("train", "--output=x", "--batch-sice=1").error
        == "unknown option 'batch-sice'; do you mean 'batch_size'?"
    )


def _with_old_names(value, prefix=""):
    old_names = {new: old for old, new in RENAMED.items() if old not in ("dtype", "size", "side", "sizes")}
    renamed = {}
    for name, item in value.items():
        old = old_names.get(f"{prefix}{name}", f"{prefix}{name}").removeprefix(prefix)
        item = _with_old_names(item, f"{prefix}{name}.") if isinstance(item, dict) else item
        renamed[old] = "none" if (old, item) == ("amp", "fp32") else item
    return renamed


def test_translation_is_the_way_back():
    record = {
        "precision": "fp32", "epochs": 3, "model": vars(ModelOptions(weights="f.pth")),
        "dense": vars(DenseOptions(img_sizes=[64], crop_size=32)), "data": {"kwargs": {"img_size": 64}},
    }  # fmt: skip
    old = _with_old_names(record)
    assert old["amp"] == "none"
    assert old["dense"]["sides"] == [64]
    assert old["data"]["kwargs"] == {"side": 64}
    assert translate(old) == record
    assert translate(record) == record


def test_a_run_of_an_earlier_version_goes_on_and_is_evaluated(atmnet, tmp_path):
    changes = {**SEGMENTER, "epochs": 2, "evaluate_every": 1}
    whole = train(tiny("", tmp_path / "run", changes))
    expected = json.loads(atmnet("evaluate", whole, "--device=cpu").out)
    old = shutil.copytree(whole, tmp_path / "old", symlinks=True)
    options = old / "options.json"
    options.write_text(json.dumps(_with_old_names(json.loads(options.read_text()))))
    for path in old.rglob("config.json"):
        record = _with_old_names(json.loads(path.read_text()))
        del record["kind"]
        path.write_text(json.dumps(record))
    assert read_options(old) == read_options(whole)
    assert load_network(str(old)).kind == "segmentation"
    assert json.loads(atmnet("evaluate", old, "--device=cpu").out) == expected
    options_again: TrainOptions = tiny("", old, changes)
    assert train(options_again) == old  # complete, and recognised as the same run
