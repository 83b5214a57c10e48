"""A classifier to save, load and fine-tune."""

import pytest
import timm
import torch

from atmnet.engine import save_checkpoint
from atmnet.tasks import Classifier, build_classifier
from atmnet_cli.options import ModelOptions
from tests import golden

NAMES = ["eight", "five", "two"]


@pytest.fixture
def classifier() -> Classifier:
    """atmnet_nano for three classes; every branch matters."""
    built = build_classifier(ModelOptions(name="atmnet_nano"), NAMES, 32)
    built.model.load_state_dict(golden.official_weights(built.model))
    built.model.eval()
    return built


@pytest.fixture
def checkpoint(classifier, tmp_path):
    """A checkpoint folder of it."""
    return save_checkpoint(tmp_path / "run", 7, classifier, classifier.model.state_dict(), {"step": 7})


@pytest.fixture
def official_file(tmp_path):
    """A file laid out like the authors', for 10 classes: nested, with an average beside the weights."""
    model = timm.create_model("atmnet_nano")
    weights = golden.official_weights(model)
    wrong = {name: torch.zeros_like(value) for name, value in weights.items()}
    torch.save({"state_dict": wrong, "state_dict_ema": weights, "epoch": 299}, tmp_path / "official.pth")
    return tmp_path / "official.pth"
