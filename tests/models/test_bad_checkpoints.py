"""Files that must not load: another variant's, incomplete ones, malicious ones, none at all."""

import os
from pathlib import Path

import pytest
import timm
import torch

from tests import golden
from tests.models import files
from tests.models.build import build


def create(name: str, path: Path, how: str, **kwargs) -> torch.nn.Module:
    if how == "checkpoint_path":
        return timm.create_model(name, checkpoint_path=str(path), **kwargs)
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **kwargs)


WAYS = pytest.mark.parametrize("how", ["checkpoint_path", "pretrained"])


@WAYS
@pytest.mark.parametrize("features_only", [False, True])
@pytest.mark.parametrize("layout", [files.official, files.segmentation])
def test_another_variant(tmp_path, layout, features_only, how):
    path = layout(tmp_path / "nano.pth", build())
    with pytest.raises(
        ValueError, match=r"^checkpoint: got weights of another variant, .*\(2, 32\).* the model, \(2, 64\)"
    ):
        create("atmnet_xtiny", path, how, features_only=features_only)


def test_deeper_variant_of_the_same_widths():
    weights = golden.official_weights(timm.create_model("atmnet_nano", depths=(2, 2, 4, 2)))
    with pytest.raises(ValueError, match=r"\(4, 96\).* the model, .*\(2, 96\)"):
        timm.create_model("atmnet_nano").load_state_dict(weights)


@pytest.mark.parametrize("lost", ["patch_embed.proj.bias", "blocks.1.1.mlp.fc1.weight", "pos_blocks.2.proj.weight"])
def test_an_incomplete_file(lost):
    model = build()
    weights = golden.official_weights(model)
    del weights[lost]
    with pytest.raises(RuntimeError, match=r"Missing key.*" + golden.our_names(model)[lost]):
        model.load_state_dict(weights)


def test_a_file_with_something_unknown():
    model = build()
    with pytest.raises(RuntimeError, match=r"Unexpected key.*\n?.*extra\.weight"):
        model.load_state_dict({**golden.official_weights(model), "extra.weight": torch.zeros(3)})


class Malicious:
    """Unpickling it makes a folder; it could as well do anything else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@WAYS
def test_a_malicious_file_is_refused(tmp_path, how):
    path, folder = tmp_path / "weights.pth", tmp_path / "made"
    torch.save({"model": golden.official_weights(build()), "args": Malicious(folder)}, path)
    with pytest.raises(RuntimeError, match="weights_only=True blocked loading this checkpoint"):
        create("atmnet_nano", path, how)
    assert not folder.exists()
    torch.load(path, weights_only=False)  # the attack is a real one
    assert folder.exists()


@WAYS
def test_a_file_that_is_no_checkpoint(tmp_path, how):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"<!DOCTYPE html>")  # what a download link gives that wants a log-in first
    with pytest.raises(RuntimeError, match="weights_only=True blocked"):
        create("atmnet_nano", path, how)


@WAYS
def test_a_file_that_is_not_there(tmp_path, how):
    with pytest.raises(FileNotFoundError):
        create("atmnet_nano", tmp_path / "weights.pth", how)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("atmnet_tiny", "open https://1drv.ms/u/s!AjKVODXuNei2gU0rtxn6X4OYXNk_?e=NK0na9 in a browser"),
        ("atmnet_large.in1k_384", "open https://1drv.ms/u/s!AjKVODXuNei2gU7b2E7Y93-lKCGd?e=hHyPkq in a browser"),
        ("atmnet_tiny.in1k_384", "find their file at https://github.com/microsoft/ActiveMLP"),
        ("atmnet_base.ade20k_upernet", "find their file at https://github.com/microsoft/ActiveMLP"),
    ],
)
@pytest.mark.parametrize("features_only", [False, True])
def test_pretrained_without_weights_says_how_to_get_them(tmp_path, monkeypatch, name, advice, features_only):
    monkeypatch.setenv("ATMNET_WEIGHTS", str(tmp_path))
    full = name if "." in name else f"{name}.in1k"
    with pytest.raises(RuntimeError, match=r"^pretrained=True: there are no weights") as error:
        timm.create_model(name, pretrained=True, features_only=features_only)
    message = str(error.value)
    assert message.startswith(f"pretrained=True: there are no weights {full} in {tmp_path}; {advice}")
    assert "then run `atmnet weights import FILE`" in message
