"""Frozen parts keep their bits, whatever the model; the others learn; a killed run ends as one that was not."""

import pytest
import torch

from atmnet.engine import train
from atmnet.engine.freezing import freeze, hold
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, ModelOptions
from tests.engine.runs import RANDOM, SEGMENTER, assert_same_run, tiny, weights

#: What does not move between the first checkpoint and the last.
FROZEN = {
    ("atmnet_nano", 2): ("patch_embed.", "stages.0.", "stages.1."),
    ("atmnet_nano", "backbone"): ("patch_embed.", "stages.", "norm."),
    ("test_resnet", 1): ("conv1.", "bn1.", "layer1."),
    ("test_convnext", "backbone"): ("stem.", "stages.", "head.norm."),
}


@pytest.mark.parametrize(("name", "stages"), FROZEN)
def test_frozen_bits_stay_and_others_change(root, tmp_path, name, stages):
    options = {"model.freeze": stages, "checkpoint_every": 1, "keep": 99, "epochs": 1, "ema": 0.5, "batch_size": 8}
    if name != "atmnet_nano":
        options |= {"model.name": name, "data.img_size": 64}
    run = train(tiny(root, tmp_path / "run", options))
    first, last = (
        dict(torch.load(path, weights_only=True)) if path.suffix == ".pth" else weights_of(path)
        for path in (run / "checkpoints" / "step-00000001", run / "last")
    )
    kept = {key for key in last if key.startswith(FROZEN[name, stages])}
    assert kept
    assert all(torch.equal(first[key], last[key]) for key in kept)
    moved = {key for key in last.keys() - kept if not torch.equal(first[key], last[key])}
    assert moved == {key for key in last.keys() - kept if last[key].is_floating_point() or "num_batches" in key}


def weights_of(folder):
    import safetensors.torch

    return safetensors.torch.load_file(folder / "model.safetensors")


def test_a_killed_run_ends_with_the_same_bits(root, tmp_path, die_after):
    options = {**RANDOM, "model.freeze": 2}
    train(tiny(root, tmp_path / "whole", options))
    with pytest.raises(die_after(5)):
        train(tiny(root, tmp_path / "parts", options))
    die_after(None)
    train(tiny(root, tmp_path / "parts", options))
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert weights(tmp_path / "whole")


@pytest.mark.dense
def test_the_backbone_of_a_segmenter(tmp_path):
    options = {**SEGMENTER, "model.freeze": "backbone", "epochs": 1, "checkpoint_every": 1, "keep": 99, "ema": 0.0}
    run = train(tiny(tmp_path, tmp_path / "run", options))
    first, last = weights_of(run / "checkpoints" / "step-00000001"), weights_of(run / "last")
    same = {key for key in last if torch.equal(first[key], last[key])}
    assert {key for key in last if key.startswith("backbone.body.")} <= same
    assert not any(key.startswith("head.") and key.endswith("weight") for key in same)


def test_frozen_modules_are_held_in_evaluation_mode():
    from atmnet.tasks import build_classifier

    network = build_classifier(ModelOptions(name="test_resnet"), ["a", "b"], 64)
    frozen = freeze(network, 1)
    network.model.train()
    hold(frozen)
    model = network.model
    assert not model.bn1.training
    assert not model.layer1[0].bn1.training
    assert model.layer2[0].bn1.training


def test_what_cannot_be_frozen_is_refused():
    from atmnet.tasks import build_classifier
    from atmnet.tasks.dense import build_dense

    network = build_classifier(ModelOptions(name="atmnet_nano"), ["a", "b"], 32)
    with pytest.raises(UserError, match=r"model.freeze: got 5, expected 0 to 4, the stages of atmnet_nano, or 'backbo"):
        freeze(network, 5)
    dense = build_dense(ModelOptions(name="test_resnet", head="fcos", channels=32), DenseOptions(), ["a", "b"], None)
    assert freeze(dense, 1)
