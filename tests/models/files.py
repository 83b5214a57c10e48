"""Checkpoint files laid out as the authors' programs wrote them."""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from atmnet.models import ATMNet
from tests import golden


def official(path: Path, model: ATMNet) -> Path:
    """A classifier's training checkpoint for ``model``'s architecture. The golden weights are its EMA's."""
    ema = golden.official_weights(model)
    weight = nn.Parameter(torch.zeros(3))
    optimiser = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimiser.step()
    checkpoint = {
        "model": {name: 2 * value + 1 for name, value in ema.items()},
        "model_ema": ema,
        "optimizer": optimiser.state_dict(),
        "lr_scheduler": {"base_values": [1e-3], "metric": None},
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
        "acc_max": 79.7,
        "epoch": 299,
        "args": argparse.Namespace(model="ActivexTiny", data_path="/data", input_size=224),
    }
    torch.save(checkpoint, path)
    return path


def segmentation_weights(model: ATMNet) -> dict[str, Tensor]:
    """A segmenter's parameters: the backbone's with a norm for each stage, two decoders', no classifier."""
    weights = golden.official_weights(model)
    own = {f"backbone.{name}": value for name, value in weights.items() if not name.startswith(("norm.", "head."))}
    for i, info in enumerate(model.feature_info):
        values = golden.uniform(100 + i, 2 * info["num_chs"])
        own[f"backbone.norm_{i}.weight"], own[f"backbone.norm_{i}.bias"] = torch.from_numpy(values).float().chunk(2)
    return {
        **own,
        "decode_head.conv_seg.weight": torch.ones(150, 8, 1, 1),
        "auxiliary_head.conv_seg.bias": torch.ones(9),
    }


def segmentation(path: Path, model: ATMNet) -> Path:
    torch.save({"meta": {"epoch": 1, "iter": 160000}, "state_dict": segmentation_weights(model)}, path)
    return path
