"""Files of the authors become weights by name; anything else is refused in one line, and nothing is stored."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import atmnet_cli.command
from atmnet.integrations import weights
from atmnet.models import ATMNet
from atmnet.models.store import LINKS, PACKAGE
from tests import golden
from tests.models import files

IMAGE = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Path:
    """An empty store, and no network."""
    monkeypatch.setenv("ATMNET_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection to the network"))
    return tmp_path / "store"


def network(name: str, **kwargs) -> Any:
    """A network with golden weights."""
    model = timm.create_model(name, **kwargs).eval()
    model.load_state_dict(golden.official_weights(model))
    return model


@pytest.fixture(scope="module")
def xtiny() -> Any:
    return network("atmnet_xtiny")


def run(*arguments: object) -> int:
    return atmnet_cli.command.main([str(argument) for argument in arguments])


def test_a_file_of_the_authors_is_found_by_name_everywhere(tmp_path, xtiny, store, capsys):
    path = files.official(tmp_path / "activemlp_xtiny.pth", xtiny)
    assert run("weights", "import", path) == 0
    assert 'timm.create_model("atmnet_xtiny.in1k", pretrained=True)' in capsys.readouterr().out
    expected = xtiny(IMAGE)
    for name in ("atmnet_xtiny", "atmnet_xtiny.in1k", f"local-dir:{store / 'atmnet_xtiny.in1k'}"):
        assert timm.create_model(name, pretrained=True).eval()(IMAGE).equal(expected)
    maps = timm.create_model("atmnet_xtiny", pretrained=True, features_only=True).eval()(IMAGE)
    assert maps[3].equal(xtiny.forward_intermediates(IMAGE, intermediates_only=True)[3])
    few = timm.create_model("atmnet_xtiny", pretrained=True, num_classes=3, in_chans=4)
    assert (
        few.stages[3]
        .state_dict()["groups.0.offset.proj.weight"]
        .equal(xtiny.stages[3].state_dict()["groups.0.offset.proj.weight"])
    )
    assert [each.name for each in weights.list_weights()] == ["atmnet_nano.digits", "atmnet_xtiny.in1k"]

    assert run("weights", "export", "atmnet_xtiny", tmp_path / "exported") == 0
    assert timm.create_model(f"local-dir:{tmp_path / 'exported'}", pretrained=True).eval()(IMAGE).equal(expected)
    assert run("weights", "export", "atmnet_xtiny", tmp_path / "exported") == 2
    assert "not empty" in capsys.readouterr().err
    assert not list(tmp_path.rglob(".import-*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", LINKS)
def test_each_published_file_answers_as_the_network_it_was_of(tmp_path, name):
    variant, _, tag = name.partition(".")
    model = network(variant)
    path = files.official(tmp_path / "file.pth", model)
    assert weights.import_weights(path, tag="in1k_384" if tag == "in1k_384" else "").name == name
    with torch.no_grad():
        assert timm.create_model(name, pretrained=True).eval()(IMAGE).equal(model(IMAGE))


def test_other_libraries_find_a_name(tmp_path, xtiny, store):
    """transformers by name as a backbone, and by the store's folder as a classifier; segmentation_models_pytorch."""
    weights.import_weights(files.official(tmp_path / "activemlp_xtiny.pth", xtiny))
    transformers = pytest.importorskip("transformers")
    folder = store / "atmnet_xtiny.in1k"
    classifier = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    assert classifier(IMAGE).logits.equal(xtiny(IMAGE))
    assert classifier.config.id2label[0] == "tench"
    expected = xtiny.forward_intermediates(IMAGE, intermediates_only=True)
    backbone = transformers.TimmBackbone.from_pretrained("atmnet_xtiny", out_indices=[3]).eval()
    assert backbone(IMAGE).feature_maps[0].equal(expected[3])
    smp = pytest.importorskip("segmentation_models_pytorch")
    encoder = smp.Unet("tu-atmnet_xtiny.in1k", encoder_weights=True).eval().encoder
    assert encoder(IMAGE)[-1].equal(expected[3])


def test_a_segmenter_gives_its_backbone(tmp_path, xtiny):
    path = files.segmentation(tmp_path / "segmenter.pth", xtiny)
    stored = weights.import_weights(path)
    assert (stored.name, stored.classes) == ("atmnet_xtiny.ade20k_fpn", 0)
    own = timm.create_model(stored.name, pretrained=True, features_only=True, stage_norms=True).eval()
    same = timm.create_model("atmnet_xtiny", features_only=True, stage_norms=True, checkpoint_path=path).eval()
    assert all(a.equal(b) for a, b in zip(own(IMAGE), same(IMAGE), strict=True))
    assert not own(IMAGE)[0].equal(xtiny.forward_intermediates(IMAGE, intermediates_only=True)[0])


def test_the_size_that_a_file_records_chooses_the_tag(tmp_path, xtiny, store):
    path = files.official(tmp_path / "a.pth", xtiny)
    checkpoint = torch.load(path, weights_only=False)
    checkpoint["args"].input_size = 384
    torch.save(checkpoint, path)
    assert weights.import_weights(path).name == "atmnet_xtiny.in1k_384"
    assert weights.import_weights(path, tag="in1k").name == "atmnet_xtiny.in1k"
    with pytest.raises(ValueError, match="tag: got 'in22k', expected one of ade20k_fpn, "):
        weights.import_weights(path, tag="in22k")
    timm.create_model("atmnet_xtiny", pretrained=True, pretrained_cfg="in1k_384")
    assert timm.create_model("atmnet_xtiny.in1k_384", pretrained=True).pretrained_cfg["input_size"] == (3, 384, 384)


@pytest.mark.parametrize("name", ["atmnet_xtiny", "atmnet_tiny", "atmnet_small", "atmnet_base", "atmnet_large"])
def test_every_variant_is_recognised_by_its_shapes(name):
    with torch.device("meta"):
        model: Any = timm.create_model(name)
    names = golden.our_names(model)
    own = model.state_dict()
    assert weights._recognise({theirs: own[ours] for theirs, ours in names.items()}) == name
    assert weights._recognise(own) == name


def damaged(kind: str, path: Path, xtiny: ATMNet) -> Path:
    """A file that must not be stored."""
    files.official(path, xtiny)
    checkpoint = torch.load(path, weights_only=False)
    if kind == "cut short":
        path.write_bytes(path.read_bytes()[:5_000_000])
    elif kind == "a web page":
        path.write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    elif kind == "of another model":
        torch.save(timm.create_model("resnet18").state_dict(), path)
    elif kind == "with code":
        torch.save({"model": checkpoint["model_ema"], "args": Malicious(path.parent / "made")}, path)
    elif kind == "not finite":
        checkpoint["model_ema"]["norm.weight"][3] = torch.nan
        torch.save(checkpoint, path)
    elif kind == "with a tensor too few":
        del checkpoint["model_ema"]["blocks.1.1.mlp.fc1.weight"]
        torch.save(checkpoint, path)
    else:
        for key in ("head.weight", "head.bias"):
            checkpoint["model_ema"][key] = checkpoint["model_ema"][key][:7].clone()
        torch.save(checkpoint, path)
    return path


class Malicious:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


KINDS = ["cut short", "a web page", "of another model", "with code", "not finite", "with a tensor too few", "7 classes"]


@pytest.mark.parametrize("kind", KINDS)
def test_anything_else_is_one_line_and_nothing_is_stored(tmp_path, xtiny, store, capsys, kind):
    path = damaged(kind, tmp_path / "file.pth", xtiny)
    assert run("weights", "import", path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert not (tmp_path / "made").exists()
    assert not store.exists() or not list(store.iterdir())


def test_import_in_place_of_what_was_there(tmp_path, xtiny, store):
    first = weights.import_weights(files.official(tmp_path / "a.pth", xtiny))
    changed = dict(load_file(first.folder / "model.safetensors"))
    changed["norm.weight"] = changed["norm.weight"] + 1
    save_file(changed, tmp_path / "b.safetensors")
    weights.import_weights(tmp_path / "b.safetensors")
    assert load_file(first.folder / "model.safetensors")["norm.weight"].equal(changed["norm.weight"])
    assert [path.name for path in store.iterdir()] == ["atmnet_xtiny.in1k"]


def test_a_team_finds_weights_on_its_hub(monkeypatch, tmp_path, xtiny):
    weights.import_weights(files.official(tmp_path / "a.pth", xtiny))
    pushed: list[tuple[Path, str]] = []
    monkeypatch.setattr(
        weights, "push_to_hub", lambda folder, repository, private: pushed.append((folder, repository)) or repository
    )
    assert run("weights", "push", "my-team") == 0
    assert [repository for _, repository in pushed] == ["my-team/atmnet_xtiny.in1k"]  # not what comes with the package

    monkeypatch.setenv("ATMNET_WEIGHTS", str(tmp_path / "another machine"))
    monkeypatch.setenv("ATMNET_HUB", "my-team")
    asked: list[str] = []

    def load(name, **_):
        asked.append(name)
        return load_file(pushed[0][0] / "model.safetensors")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", load)
    assert timm.create_model("atmnet_xtiny", pretrained=True).eval()(IMAGE).equal(xtiny(IMAGE))
    assert asked == ["my-team/atmnet_xtiny.in1k"]


@pytest.mark.parametrize(
    "arguments", [["import"], ["list", "x"], ["export", "atmnet_nano"], ["push"], ["export", "a", "b"]]
)
def test_wrong_arguments_say_what_is_expected(capsys, arguments):
    assert run("weights", *arguments) == 2
    assert "expected" in (message := capsys.readouterr().err) or "there are no weights 'a'" in message


def test_the_list_names_what_is_missing_and_where_it_is(capsys):
    assert run("weights", "list") == 0
    output = capsys.readouterr().out
    assert "atmnet_nano.digits" in output
    assert all(link in output for link in LINKS.values())


def test_the_shipped_weights_know_the_held_out_digits(capsys):
    model = timm.create_model("atmnet_nano", pretrained=True).eval()
    assert model.pretrained_cfg["label_names"] == tuple("0123456789")
    assert (PACKAGE / "atmnet_nano.digits" / "model.safetensors").stat().st_size < 2.2e6
    assert run("evaluate", "atmnet_nano", "--data.source", "digits", "--data.workers", 0) == 0
    assert float(capsys.readouterr().out.partition('"top1": ')[2].partition(",")[0]) >= 98


def test_names_start_a_run_and_need_no_file(tmp_path, capsys):
    """--model.weights takes a name, of ours or of any timm model; an unknown one is refused."""
    from atmnet.tasks.weights import read_weights

    read, _ = read_weights("atmnet_nano.digits")
    assert read.keys() == timm.create_model("atmnet_nano").state_dict().keys()
    with pytest.raises(ValueError, match="no such file or folder, and no name of weights"):
        read_weights("nowhere.pth")
    with pytest.raises(ValueError, match=r"weights atmnet_tiny.in1k in .*; open https://1drv.ms"):
        read_weights("atmnet_tiny")
