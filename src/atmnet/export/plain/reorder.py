"""Another order of channels: a permutation of weights, which changes no value beyond the order of a sum.

Shapes: C channels, S channels per share group, G = C / S.
"""

from typing import Any

import torch
from torch import Tensor

from atmnet.layers import ATM


def interleaved(dim: int, groups: int) -> Tensor:
    """The network's number of each channel in the new order: place s * G + g holds channel g * S + s."""
    return torch.arange(dim).view(groups, -1).T.flatten()


def reorder_atm(atm: ATM, order: Tensor) -> None:
    """Permute the channels that an ATM takes and gives in place."""
    for linear in (*atm.along, atm.identity, atm.proj):
        reorder(linear, rows=order, columns=order)
    reorder(atm.fusion.fc1, columns=order)
    # The weights of a channel's branches are neighbours; here, the branches' weights lie side by side.
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
