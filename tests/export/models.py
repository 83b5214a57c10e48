"""Networks with spread offsets: the offsets of a new network are nearly zero, those of a trained one are not."""

from typing import Any

import timm
import torch


def spread(name: str, **kwargs: Any) -> Any:
    """A model of timm for inference, with offsets of about three tokens in ATMNets, and logits of order 1."""
    torch.manual_seed(0)
    model = timm.create_model(name, **kwargs).eval()
    for key, parameter in model.named_parameters():
        if key.endswith("offset.proj.weight"):
            torch.nn.init.normal_(parameter, std=3 / parameter.shape[1] ** 0.5)
        elif key.endswith("head.fc.weight"):
            torch.nn.init.normal_(parameter, std=1 / parameter.shape[1] ** 0.5)
    return model
