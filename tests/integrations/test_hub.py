"""timm's hub layout: what is saved loads again, by timm alone too, and the card states what is recorded."""

import json

import pytest
import timm
import torch
import yaml

from atmnet.engine import read_metrics, train
from atmnet.integrations.hub import from_pretrained, push_to_hub, save_pretrained
from atmnet.models.create import data_config
from atmnet.tasks import Classifier, load_classifier
from atmnet_cli.errors import UserError
from tests.data.tiny import write_digits
from tests.engine.runs import tiny
from tests.export.models import spread


def classifier_of(name, **kwargs):
    model = spread(name, **kwargs)
    return Classifier(model, [f"class {k}" for k in range(model.num_classes)], data_config(model, None))


def assert_round_trip(name, folder, **kwargs):
    saved = classifier_of(name, **kwargs)
    assert save_pretrained(saved, folder) == folder
    image = torch.randn(1, saved.model.in_chans, 64, 64)
    with torch.no_grad():
        expected = saved.model(image)
        by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        loaded = from_pretrained(folder)
        assert torch.equal(by_timm(image), expected)
        assert torch.equal(loaded.model(image), expected)
    assert loaded.classes == saved.classes
    assert loaded.config == saved.config


@pytest.mark.parametrize("kwargs", [{}, {"num_classes": 3, "in_chans": 1}], ids=str)
def test_round_trip(kwargs, tmp_path):
    assert_round_trip("atmnet_nano", tmp_path / "model", **kwargs)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atmnet_xtiny", "atmnet_tiny", "atmnet_small", "atmnet_base", "atmnet_large"])
def test_round_trip_of_published_variants(name, tmp_path):
    assert_round_trip(name, tmp_path)


def test_only_two_files_of_a_repository_are_fetched(tmp_path, monkeypatch):
    """And its config.json passes the same gate as that of a folder."""
    import huggingface_hub

    save_pretrained(classifier_of("test_resnet"), tmp_path / "model")
    fetched = []

    def fetch(repository, file, revision=None):
        fetched.append((repository, file, revision))
        return str(tmp_path / "model" / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert len(from_pretrained("owner/name@v1").classes) == 1000
    assert fetched == [("owner/name", "config.json", "v1"), ("owner/name", "model.safetensors", "v1")]
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"architecture": "hf-hub:other/model"}))
    with pytest.raises(UserError, match="expected the name of a timm model"):
        from_pretrained("owner/name")


def test_a_repository_that_does_not_exist(monkeypatch):
    import huggingface_hub

    def fetch(*_, **__):
        raise OSError("no such repository\nand more")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(UserError, match="owner/name: no folder of a classifier, and the hub has none: no such repo"):
        from_pretrained("owner/name")


def card_of(folder):
    _, head, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_card_of_a_bare_model(tmp_path):
    """Counted facts alone: no accuracy, no training, no licence."""
    save_pretrained(classifier_of("atmnet_nano"), tmp_path / "model")
    head, body = card_of(tmp_path / "model")
    assert head["library_name"] == "timm"
    assert head["pipeline_tag"] == "image-classification"
    assert "license" not in head
    parameters = sum(parameter.numel() for parameter in spread("atmnet_nano").parameters())
    assert f"- **Parameters:** {parameters:,}\n" in body
    assert "- **Image size:** 32 x 32\n" in body
    for word in ("ccuracy", "Training", "epochs"):
        assert word not in body
    save_pretrained(classifier_of("atmnet_nano"), tmp_path / "model", license="mit")
    assert card_of(tmp_path / "model")[0]["license"] == "mit"


def test_card_of_a_run(tmp_path):
    """Every number in it is in the run's records."""
    root = write_digits(tmp_path / "digits")
    run = train(tiny(root, tmp_path / "run", {"epochs": 2}))
    save_pretrained(run, tmp_path / "model")
    _, body = card_of(tmp_path / "model")
    step = int((run / "best").resolve().name.removeprefix("step-"))
    (line,) = [line for line in read_metrics(run) if line["kind"] == "evaluate" and line["step"] == step]
    assert f"- **Top-1 accuracy:** {line['top1']:.2f} % on split val\n" in body
    assert "- **Training:** 2 epochs of batches of 8, adamw at 0.001\n" in body
    assert "- **Training data:** folder, digits, split train\n" in body
    assert str(tmp_path) not in body
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        ours, theirs = from_pretrained(tmp_path / "model"), load_classifier(str(run))
        assert torch.equal(ours.model(image), theirs.model(image))
    assert ours.classes == ["eight", "five", "two"]
    assert json.loads((tmp_path / "model" / "config.json").read_text())["label_names"] == ours.classes


def test_pushing_what_was_not_saved(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json in it"):
        push_to_hub(tmp_path, "owner/name")


def test_push(tmp_path, monkeypatch):
    """What would be sent, to where; nothing leaves this machine."""
    import huggingface_hub

    calls = []

    class Api:
        def __init__(self, **kwargs):
            calls.append(kwargs)

        def create_repo(self, name, **kwargs):
            calls.append((name, kwargs))
            return huggingface_hub.RepoUrl("https://huggingface.co/owner/name")

        def upload_folder(self, **kwargs):
            calls.append(kwargs)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    save_pretrained(classifier_of("atmnet_nano"), tmp_path)
    assert push_to_hub(tmp_path, "owner/name") == "https://huggingface.co/owner/name"
    assert calls[1] == ("owner/name", {"private": True, "exist_ok": True})
    assert calls[2]["folder_path"] == str(tmp_path)
    assert calls[2]["repo_id"] == "owner/name"
