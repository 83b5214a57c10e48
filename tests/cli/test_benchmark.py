"""`atmnet benchmark`"""

import json
import re

import pytest

from tests import processes

QUICK = ["--img_size=32", "--batch_size=2", "--rounds=2", "--threads=1", "--device=cpu"]


def rows(out):
    """What the table says, by model."""
    _, _, head, *lines = out.splitlines()
    assert head.split()[:3] == ["model", "ms", "images/s"]
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_inference(atmnet, tmp_path):
    path = tmp_path / "times.json"
    result = atmnet("benchmark", "--models", "atmnet_nano", "test_resnet", *QUICK, "--output", path)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("inference at 32 pixels, batch 2, fp32, eager, on CPU (threads: 1); ")
    table = rows(result.out)
    record = json.loads(path.read_text())
    assert list(table) == list(record["models"]) == ["atmnet_nano", "test_resnet"]
    for name, row in record["models"].items():
        assert table[name][0] == f"{1e3 * row['seconds']['median']:.1f}"
        assert table[name][2] == f"{row['ratio']['median']:.2f}"
        assert row["peak_bytes"] > 0
    assert table["atmnet_nano"][2] == "1.00"
    assert record["settings"]["img_size"] == 32
    assert record["settings"]["device"] == "cpu"
    assert record["machine"]["threads"] == 1
    assert {"torch", "timm", "atmnet"} <= set(record["machine"])


def test_training(atmnet):
    arguments = ["--models", "atmnet_nano", "test_resnet", "--train=true", "--precision=bf16"]
    result = atmnet("benchmark", *arguments, *QUICK)
    assert result.status == 0
    assert all(line.startswith("round ") for line in result.err.splitlines())  # progress, if it takes long
    assert result.out.startswith("training step at 32 pixels, batch 2, bf16, eager, on CPU (threads: 1); ")
    for cells in rows(result.out).values():
        peak, saved = map(float, cells[-2:])
        assert peak > 0
        assert saved > 0


def test_a_model_for_fixed_images_is_built_for_the_size(atmnet):
    result = atmnet("benchmark", "--models", "test_vit", *QUICK, "--img_size=64")
    assert result.status == 0
    assert list(rows(result.out)) == ["test_vit"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--models", "atmnet_nano", "atmnet_tny"], r"models: unknown model 'atmnet_tny'; do you mean atmnet_tiny "),
        (
            ["--models", "atmnet_nano", "--img_size=2"],
            r"models: atmnet_nano cannot run at img_size 2, batch_size 2 in ",
        ),
        (["--models", "test_vit", "--img_size=8"], r"models: test_vit cannot (run|be built) at img_size 8"),
        (["--models", "test_convnext", "--batch_size=0"], r"batch_size: got 0, expected at least 1"),
        (["--rounds=1"], r"rounds: got 1, expected at least 2"),
        (["--threads=0"], r"threads: got 0, expected at least 1"),
        (["--img_size=0"], r"img_size: got 0, expected at least 1"),
        (["--precision=int8"], r"precision: got 'int8', expected one of fp32, bf16, fp16"),
        (["--device=gpu"], r"device: 'gpu' cannot be used here"),
        (["--device=cuda:77"], r"device: 'cuda:77' cannot be used here"),
        (["--device=meta"], r"device: got 'meta', expected cpu or cuda"),
        (["--output=times.csv"], r"output: got times.csv, expected the name of a file that ends in .json"),
        (["--roundz=3"], r"unknown option 'roundz'; do you mean 'rounds'\?"),
        (["--models"], r"models"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused(atmnet, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert re.search(told, atmnet("benchmark", *QUICK, *arguments).error)
    assert not list(tmp_path.iterdir())


def test_a_dtype_that_a_model_does_not_run_in(atmnet, monkeypatch):
    def fail(*_):
        raise NotImplementedError("\"deformable_im2col\" not implemented for 'BFloat16'\nException raised from ...")

    monkeypatch.setattr("atmnet.models.ATMNet.forward", fail)
    told = atmnet("benchmark", "--models", "atmnet_nano", *QUICK, "--precision=bf16").error
    assert told.startswith("models: atmnet_nano cannot run at img_size 32, batch_size 2 in bf16 on cpu: ")
    assert "not implemented for 'BFloat16'" in told


def test_libraries_are_quiet():
    """The profiler that counts memory has much to say."""
    done = processes.atmnet("benchmark", "--models", "atmnet_nano", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
