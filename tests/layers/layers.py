"""Layers with weights that matter: fresh ones have zero biases and barely differ between branches."""

from typing import TypeVar

import torch
from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def randomised(layer: Layer) -> Layer:
    """``layer`` in float64 with every parameter drawn from a normal distribution of spread 0.5."""
    layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.5)
    return layer
