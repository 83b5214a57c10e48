"""The models of the study: as large as atmnet_nano, and varied where their names say so."""

import json

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from atmnet.engine import latest_checkpoint, save_checkpoint
from atmnet.layers import ATM
from atmnet.models.looks import record_looks
from atmnet.tasks import load_network
from atmnet.tasks.classifier import build_classifier
from atmnet_cli.options import ModelOptions
from benchmarks import study
from benchmarks.ablations import ABLATIONS, EqualWeights
from benchmarks.families import FAMILIES, SIZED


def _cost(name):
    model, image = timm.create_model(name, num_classes=2).eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    return sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops()


@pytest.mark.parametrize("family", FAMILIES)
def test_families_cost_as_much_as_atmnet_nano(family):
    parameters, macs = (
        own / reference for own, reference in zip(_cost(f"family_{family}"), _cost("atmnet_nano"), strict=True)
    )
    if family == "mixer":
        assert 0.3 < parameters < 0.4
        assert 1 < macs < 1.15
    else:
        assert 0.9 < parameters < 1.1
        assert 0.9 < macs < 1.1


def _offsets(name):
    """Mean distances along width and height of an ablation's first group, with weights that look somewhere."""
    torch.manual_seed(0)
    model = timm.create_model(f"ablation_{name}", num_classes=2).eval()
    if name != "random_offsets":
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.weight, std=0.5)
    offsets = []
    predictor = model.stages[0].groups[0].offset
    predictor.register_forward_hook(lambda module, inputs, output: offsets.append(output))
    with torch.no_grad():
        model(torch.randn(1, 3, 64, 64))
    width, height = offsets[0].chunk(2, -1)
    return width.abs().mean().item(), height.abs().mean().item(), width.std((1, 2)).max().item()


def test_ablations_look_where_their_names_say():
    assert _offsets("zero_offsets")[:2] == (0, 0)
    width, height, spread = _offsets("random_offsets")
    assert 1 < width < 3
    assert 1 < height < 3
    assert spread < 1e-5, "the same at all tokens"
    width, height, _ = _offsets("rows_only")
    assert width > 0
    assert height == 0
    width, height, _ = _offsets("columns_only")
    assert width == 0
    assert height > 0


def test_ablations_have_the_parameters_of_atmnet_nano():
    state = timm.create_model("atmnet_nano", num_classes=2).state_dict()
    for name in ("zero_offsets", "random_offsets"):
        varied = timm.create_model(f"ablation_{name}", num_classes=2).state_dict()
        assert {key: value.shape for key, value in varied.items()} == {key: value.shape for key, value in state.items()}


def test_random_offsets_are_not_trained():
    model = timm.create_model("ablation_random_offsets", num_classes=2)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(group.offset.proj.bias.grad is None for stage in model.stages for group in stage.groups)


def test_equal_weights_are_a_third_each():
    model = timm.create_model("ablation_equal_weights", num_classes=2)
    layers = [module for module in model.modules() if isinstance(module, ATM)]
    assert all(isinstance(layer.fusion, EqualWeights) for layer in layers)
    weights = layers[0]._branch_weights(torch.randn(2, layers[0].dim))
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 3))


def test_reach_is_measured_through_the_ablations():
    model = timm.create_model("ablation_rows_only", num_classes=2).eval()
    assert record_looks(model, lambda: model(torch.randn(1, 3, 64, 64)))


def test_models_of_all_parts_can_be_built():
    models = {
        f"{model} {part.options['data']['img_size']}": (model, part.options["data"]["img_size"])
        for part in study.PARTS.values()
        for model in part.models
    }
    for model, side in models.values():
        network = timm.create_model(model["name"], num_classes=2, **model.get("kwargs", {})).eval()
        assert network(torch.randn(1, 3, side, side)).shape == (1, 2)
        if model["label"] in SIZED:
            assert model["kwargs"] == {"img_size": side}
    used = {model["name"].removeprefix("ablation_") for part in study.PARTS.values() for model in part.models}
    assert used >= set(ABLATIONS)


@pytest.mark.parametrize("name", ["zero_offsets", "fine_stem"])
def test_a_checkpoint_is_of_the_variation(name, tmp_path):
    options = ModelOptions(name=f"ablation_{name}")
    network = build_classifier(options, ["a", "b"], 32)
    for module in network.model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    save_checkpoint(tmp_path / "run", 1, network, network.model.state_dict(), {"step": 1})
    loaded = load_network(str(latest_checkpoint(tmp_path / "run")))
    assert loaded.name == f"ablation_{name}"
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert loaded.model.eval()(image).equal(network.model.eval()(image))


@pytest.mark.slow
def test_a_part_from_its_pictures_to_its_record(tmp_path, monkeypatch):
    pictures = study.Pictures("tiny", "pathfinder", {"img_size": 32, "dashes": 3, "images": [32, 16]})
    options = {"data": {"img_size": 32, "workers": 0}, "epochs": 1, "batch_size": 16, "device": "cpu"}
    models = [{"name": "test_resnet", "label": "a, b"}, {"name": "test_convnext", "label": "c"}]
    part = study.Part(models, options, pictures, seeds=1, lrs=(1e-3,), sizes=(64,))
    monkeypatch.setitem(study.PARTS, "tiny", part)
    study.run("tiny", tmp_path, tmp_path, jobs=1)
    record = json.loads((tmp_path / "tiny.json").read_text())
    assert [model["label"] for model in record["models"]] == ["a, b", "c"]
    assert all(0 <= model["scores_at"]["64"][0] <= 100 for model in record["models"])
    assert len(list((tmp_path / "data/tiny/train").rglob("*.png"))) == 32
