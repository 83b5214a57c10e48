"""Reorder channels by permuting weights, which changes no value beyond the order of a sum.

Shapes: C channels, S channels per share group, G = C / S.
"""

from typing import Any

import torch
from torch import Tensor

from atmnet.layers import ATM


def interleaved(dim: int, groups: int) -> Tensor:
    """The new order of channels: place s * G + g holds channel g * S + s of the network."""
    return torch.arange(dim).view(groups, -1).T.flatten()


def reorder_atm(atm: ATM, order: Tensor) -> None:
    """Permute the input and output channels of an ATM in place."""
    for linear in (*atm.along, atm.identity, atm.proj):
        reorder(linear, rows=order, columns=order)
    reorder(atm.fusion.fc1, columns=order)
    # The network holds the weights of a channel's branches side by side; here the channels of a branch are.
    branches = torch.arange(atm.axes + 1).unsqueeze(1)
    reorder(atm.fusion.fc2, rows=(order * (atm.axes + 1) + branches).flatten())


def reorder(module: Any, rows: Tensor | None = None, columns: Tensor | None = None) -> None:
    """Permute the outputs (``rows``) and inputs (``columns``) of a Linear, convolution or LayerNorm in place."""
    if rows is not None:
        module.weight.data = module.weight.data[rows]
        if module.bias is not None:
            module.bias.data = module.bias.data[rows]
    if columns is not None:
        module.weight.data = module.weight.data[:, columns]
