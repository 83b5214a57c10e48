"""How tokens lie in memory: channels last all the way, which each block would otherwise pay to arrange."""

import timm
import torch
from torch import nn


def test_tokens_stay_channels_last_in_memory() -> None:
    model = timm.create_model("atmnet_nano", num_classes=3)
    seen: list[bool] = []
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))

    model(torch.randn(2, 3, 64, 96))

    assert seen
    assert all(seen)
