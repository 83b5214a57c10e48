"""Variations of atmnet_nano, as timm models, for the ablations of docs/evidence.md.

``ATMNET_MODULES=benchmarks.ablations`` makes them known to atmnet's commands. They have the parameters of atmnet_nano,
except where the variation is to leave some out.
"""

from collections.abc import Callable
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.mambaout import Stem
from torch import Tensor, nn

from atmnet.layers import ATM, OffsetGroup, OffsetPredictor, Stage
from atmnet.models import ATMNet
from benchmarks.families import configuration

#: Standard deviation of random offsets, in tokens.
RANDOM_OFFSETS = 2.0
#: The arguments of atmnet_nano.
_NANO: dict[str, Any] = {"depths": (2, 2, 2, 2), "dims": (32, 64, 96, 128)}
#: Depths with which the interval between predictions of offsets matters: with two blocks in a stage there is only one.
DEEP = (2, 2, 6, 2)


class OneAxis(nn.Module):
    """Offsets of a predictor along one axis; those along the other are zero.

    Shape:
        (B, H, W, C) -> (B, H, W, 2 * G); the first G values are the offsets along the width.
    """

    def __init__(self, predictor: OffsetPredictor, axis: int) -> None:
        super().__init__()
        self.predictor, self.axis = predictor, axis

    def forward(self, x: Tensor) -> Tensor:
        """Predict, and set the offsets along the other axis to zero."""
        parts = list(self.predictor(x).chunk(2, -1))
        parts[1 - self.axis] = torch.zeros_like(parts[1 - self.axis])
        return torch.cat(parts, -1)


class EqualWeights(nn.Module):
    """In place of an ATM's fusion: the same weight for all branches. (B, C) -> (B, 3 * C), zeros."""

    def forward(self, mean: Tensor) -> Tensor:
        """Zeros, of which the softmax makes a third for each branch."""
        return mean.new_zeros(*mean.shape[:-1], 3 * mean.size(-1))


def _zero_offsets(model: ATMNet) -> None:
    for predictor in _predictors(model):
        predictor.dilation = 0


def _random_offsets(model: ATMNet) -> None:
    for predictor in _predictors(model):
        nn.init.zeros_(predictor.proj.weight)
        nn.init.normal_(predictor.proj.bias, std=RANDOM_OFFSETS)
        predictor.requires_grad_(False)


def _rows_only(model: ATMNet) -> None:
    _replace_predictors(model, lambda predictor: OneAxis(predictor, 0))


def _columns_only(model: ATMNet) -> None:
    _replace_predictors(model, lambda predictor: OneAxis(predictor, 1))


def _equal_weights(model: ATMNet) -> None:
    for module in model.modules():
        if isinstance(module, ATM):
            module.add_module("fusion", EqualWeights())


def _no_position(model: ATMNet) -> None:
    for module in model.modules():
        if isinstance(module, Stage):
            module.add_module("pos_embed", nn.Identity())


def _fine_stem(model: ATMNet) -> None:
    channels = model.feature_info[0]["num_chs"]
    model.patch_embed = Stem(model.in_chans, channels)  # type: ignore[assignment]


def _predictors(model: ATMNet) -> list[OffsetPredictor]:
    return [module for module in model.modules() if isinstance(module, OffsetPredictor)]


def _replace_predictors(model: ATMNet, replacement: Callable[[OffsetPredictor], nn.Module]) -> None:
    for module in list(model.modules()):
        if isinstance(module, OffsetGroup):
            module.add_module("offset", replacement(module.offset))


#: Name -> arguments of atmnet_nano, and what is changed in the model.
ABLATIONS: dict[str, tuple[dict[str, Any], Callable[[ATMNet], None] | None]] = {
    "zero_offsets": ({}, _zero_offsets),
    "random_offsets": ({}, _random_offsets),
    "rows_only": ({}, _rows_only),
    "columns_only": ({}, _columns_only),
    "equal_weights": ({}, _equal_weights),
    "no_position": ({}, _no_position),
    "fine_stem": ({}, _fine_stem),
    "share_1": ({"shares": (1, 1, 1, 1)}, None),
    "share_2": ({"shares": (2, 2, 2, 2)}, None),
    "share_4": ({"shares": (4, 4, 4, 4)}, None),
    "share_8": ({"shares": (8, 8, 8, 8)}, None),
    "share_all": ({"shares": (32, 64, 96, 128)}, None),
    "interval_1": ({"depths": DEEP, "interval": 1}, None),
    "interval_2": ({"depths": DEEP, "interval": 2}, None),
    "interval_6": ({"depths": DEEP, "interval": 6}, None),
}


default_cfgs = generate_default_cfgs(
    {
        f"ablation_{name}": configuration(f"patch_embed.{'conv1' if name == 'fine_stem' else 'proj'}", "head.fc")
        for name in ABLATIONS
    }
)


def _register(name: str) -> None:
    arguments, change = ABLATIONS[name]

    def build(**kwargs: Any) -> ATMNet:
        model = ATMNet(**kwargs)
        if change is not None:
            change(model)
        return model

    def create(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        # Weights are loaded into the model that is changed already.
        model: nn.Module = build_model_with_cfg(
            build, f"ablation_{name}", pretrained, **{**_NANO, **arguments, **kwargs}
        )
        return model

    create.__name__ = f"ablation_{name}"
    register_model(create)


for _name in ABLATIONS:
    _register(_name)
