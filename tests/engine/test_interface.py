"""``atmnet.train`` from Python: the command line's run, and data sets of a program."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import atmnet
from atmnet.data.own import DatasetSplit, to_picture
from atmnet.engine import train as train_options
from atmnet_cli.command import main
from atmnet_cli.errors import UserError
from tests.engine.runs import NARROW, assert_same_run, tiny

SMALL: dict[str, Any] = {
    "recipe": "",
    "model": {"name": "atmnet_nano", "kwargs": NARROW},
    "batch_size": 8,
    "threads": 1,
    "device": "cpu",
    "checkpoint_every": 2,
}


class Squares(Dataset[Any]):
    """Noise with a square whose place is the label; targets of any kind."""

    def __init__(self, kind: str, length: int = 24) -> None:
        self.kind, self.length = kind, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        label = index % 3
        image = np.random.default_rng(index).integers(0, 60, (64, 64, 3), np.uint8)
        square = slice(4 + 20 * label, 20 + 20 * label)
        image[square, square] = 255
        if self.kind == "classification":
            return image, label
        if self.kind == "multilabel":
            return image, np.eye(3)[label]
        if self.kind == "segmentation":
            label_map = np.zeros((64, 64), np.int64)
            label_map[square, square] = 1
            return image, label_map
        return image, {"boxes": [[square.start, square.start, square.stop, square.stop]], "labels": [label]}


def test_a_folder_gives_the_run_of_the_command_line(root, tmp_path):
    train_options(tiny(root, tmp_path / "options"))
    same = atmnet.train(
        root,
        {"name": "atmnet_nano", "kwargs": NARROW},
        output=tmp_path / "call",
        recipe="",
        augment={"scale": [0.5, 1.0], "hflip": 0.0},
        optim={"lr": 1e-3, "warmup_epochs": 1},
        epochs=4,
        batch_size=8,
        evaluate_every=2,
        checkpoint_every=4,
        log_every=5,
        device="cpu",
        threads=1,
    )
    assert same.metrics[-1]["kind"] == "evaluate"
    assert_same_run(tmp_path / "options", same.folder)


def test_data_sets_of_a_program_are_trained_on_and_resumed(tmp_path, die_after, capsys):
    """Stopped after three steps and called again: the same bits. The command line says what it cannot do."""
    data = Squares("classification"), Squares("classification", 9)
    options: dict[str, Any] = {**SMALL, "classes": ["a", "b", "c"], "epochs": 2}
    whole = atmnet.train(data, output=tmp_path / "whole", **options)
    with pytest.raises(die_after(3)):
        atmnet.train(data, output=tmp_path / "parts", **options)
    die_after(None)
    parts = atmnet.train(data, output=tmp_path / "parts", **options)
    assert_same_run(whole.folder, parts.folder)
    assert main(["evaluate", str(whole.folder)]) == 2
    assert "a data set that a Python program passed" in capsys.readouterr().err
    with pytest.raises(UserError, match="number of samples changed"):
        atmnet.train((Squares("classification", 25), data[1]), output=whole.folder, **options)


def test_data_sets_with_sets_of_labels(tmp_path):
    data = Squares("multilabel"), Squares("multilabel", 6)
    model = {**SMALL["model"], "head": "multilabel"}
    run = atmnet.train(data, output=tmp_path / "run", classes=["a", "b", "c"], steps=2, **{**SMALL, "model": model})
    assert run.metrics[-1]["map"] > 0
    assert run.load(device="cpu").kind == "multilabel"


@pytest.mark.parametrize(("head", "kind"), [("fcos", "detection"), ("semantic_fpn", "segmentation")])
def test_dense_data_sets_of_a_program(head, kind, tmp_path):
    run = atmnet.train(
        (Squares(kind), Squares(kind, 4)),
        output=tmp_path / "run",
        classes=["a", "b", "c"] if kind == "detection" else ["ground", "square"],
        steps=2,
        dense={"img_sizes": [64], "max_img_size": 64} if kind == "detection" else {"crop_size": 64},
        optim={"warmup_steps": 1},
        **{**SMALL, "model": {**SMALL["model"], "head": head, "channels": 64}},
    )
    assert run.metrics[-1]["kind"] == "evaluate"
    assert ("ap" if kind == "detection" else "miou") in " ".join(run.metrics[-1]).lower()


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (3, "classification", r"sample 0: label 3 is not one of 0 to 2"),
        ("cat", "classification", r"sample 0: invalid literal"),
        ([0, 1], "multilabel", r"got \(2,\) numbers, expected 0 or 1 for each class"),
        ([0, 1, 2], "multilabel", r"expected 0 or 1 for each class"),
        (np.zeros((8, 9)), "segmentation", r"its label map has \(8, 9\) pixels, the picture \(8, 8\)"),
        ({"boxes": [[0, 0, 4, 4]]}, "detection", r"sample 0: 'labels'"),
        ({"boxes": [[4, 0, 0, 4]], "labels": [0]}, "detection", r"x1 > x0"),
        ({"boxes": [[0, 0, float("nan"), 4]], "labels": [0]}, "detection", r"boxes must be finite"),
        ({"boxes": [[0, 0, 4, 4]], "labels": [0], "masks": np.zeros((1, 4, 4))}, "detection", r"masks have"),
    ],
)
def test_a_sample_that_is_not_as_expected_is_named(target, kind, message):
    split = DatasetSplit([(np.zeros((8, 8), np.uint8), target)], ["a", "b", "c"], kind)
    with pytest.raises(UserError, match=message):
        split.load(0, "RGB")


def test_mistakes_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call, message in [
        (lambda: atmnet.train("nowhere"), "data.root: nowhere: no such folder"),
        (lambda: atmnet.train("nowhere", epoch=3), "unknown option 'epoch'; do you mean 'epochs'"),
        (lambda: atmnet.train("nowhere", optim={"l": 3}), "unknown option 'optim.l'; do you mean 'optim.lr'"),
        (lambda: atmnet.train("nowhere", epochs="x"), "epochs: got 'x', expected a whole number"),
        (lambda: atmnet.train("nowhere", {"head": "yolo"}), "yolo"),
        (lambda: atmnet.train("nowhere", classes=["a"]), "classes: these are for two data sets"),
        (lambda: atmnet.train(([1], [2])), "the data sets do not name their classes"),
        (lambda: atmnet.train(([], [2]), classes=["a"]), "the data set is empty"),
    ]:
        with pytest.raises(UserError, match=message):
            call()
    assert not (tmp_path / "runs" / "nowhere-atmnet_tiny" / "checkpoints").exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_in_memory_are_those_of_files(dtype, tmp_path):
    """Arrays, tensors and Pillow's pictures become what the same picture in a file becomes."""
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (20, 30), dtype)
    from PIL import Image

    Image.fromarray(values).save(tmp_path / "a.png")
    expected = to_picture(tmp_path / "a.png", "L")
    assert to_picture(values, "L").tobytes() == expected.tobytes()
    assert to_picture(Image.fromarray(values), "L").tobytes() == expected.tobytes()
    if dtype == np.uint8:
        assert to_picture(torch.from_numpy(values)[None], "L").tobytes() == expected.tobytes()
        assert to_picture(torch.from_numpy(values)[None].float() / 255, "L").tobytes() == expected.tobytes()


@pytest.mark.parametrize("value", [5, np.zeros((2, 3, 4, 5)), torch.zeros(7, 4, 4), np.zeros((4, 4, 3))])
def test_what_is_no_picture_is_named(value):
    with pytest.raises(UserError, match=r"images: got .*, expected"):
        to_picture(value)
