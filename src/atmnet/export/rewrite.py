"""A copy of a network for export: the same function, in plain operations and with interleaved channels.

Reordering the channels of a stage only permutes weights, so no value changes beyond the order of a sum. The network
itself is left as it is.
"""

import copy
from typing import Any

import torch
from timm.layers import ClassifierHead
from torch import Tensor, nn

from atmnet.export.modules import PlainATM, PredictTaps, Restore
from atmnet.layers import ATM, Stage
from atmnet.models import ATMNet


def exportable(model: nn.Module) -> nn.Module:
    """A copy of ``model``, on the CPU, in float32 and for inference; every ATMNet in it is rewritten."""
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    for module in list(model.modules()):
        if isinstance(module, ATMNet):
            _rewrite(module, alone=module is model)
    return model


def _rewrite(network: Any, alone: bool) -> None:
    """In place. ``alone``: only the logits leave the network, not the maps of its stages."""
    head = network.head
    folded = alone and isinstance(head, ClassifierHead) and isinstance(head.fc, nn.Linear)
    incoming: Tensor | None = None
    stages = []
    for i, stage in enumerate(network.stages):
        groups = stage.groups[0].offset.proj.out_features // stage.groups[0].blocks[0].atm.axes
        order = interleaved(stage.groups[0].offset.norm.normalized_shape[0], groups)
        if i == 0:
            _reorder(network.patch_embed.proj, rows=order)
        else:
            _reorder(stage.downsample.proj, rows=order, columns=incoming)
        _rewrite_stage(stage, order, groups)
        incoming = order if folded else None
        stages.append(stage if folded else nn.Sequential(stage, Restore(groups)))
    network.stages = nn.Sequential(*stages)
    if folded:
        assert incoming is not None
        _reorder(network.norm, rows=incoming)
        _reorder(head.fc, columns=incoming)


def interleaved(dim: int, groups: int) -> Tensor:
    """The network's number of each channel in the new order: place s * G + g holds channel g * S + s."""
    return torch.arange(dim).view(groups, -1).T.flatten()


def _rewrite_stage(stage: Stage, order: Tensor, groups: int) -> None:
    _reorder(stage.pos_embed.conv, rows=order)
    for group in stage.groups:
        offset: Any = group.offset
        _reorder(offset.norm, rows=order)
        _reorder(offset.proj, columns=order)
        blocks: Any = group.blocks
        for block in blocks:
            for norm in (block.norm1, block.norm2):
                _reorder(norm, rows=order)
            _reorder_atm(block.atm, order)
            _reorder(block.mlp.fc1, columns=order)
            _reorder(block.mlp.fc2, rows=order)
            axes = block.atm.axes
            block.atm = PlainATM(block.atm, groups)
            block.mlp = nn.Sequential(block.mlp.fc1, nn.GELU(), block.mlp.fc2)
        group.offset = PredictTaps(offset, axes)


def _reorder_atm(atm: ATM, order: Tensor) -> None:
    for linear in (*atm.along, atm.identity, atm.proj):
        _reorder(linear, rows=order, columns=order)
    _reorder(atm.fusion.fc1, columns=order)
    # The weights of a channel's branches are neighbours; here, the branches' weights lie side by side.
    branches = torch.arange(atm.axes + 1).unsqueeze(1)
    _reorder(atm.fusion.fc2, rows=(order * (atm.axes + 1) + branches).flatten())


def _reorder(module: Any, rows: Tensor | None = None, columns: Tensor | None = None) -> None:
    """Permute the outputs (``rows``) and inputs (``columns``) of a Linear, convolution or LayerNorm in place."""
    if rows is not None:
        module.weight.data = module.weight.data[rows]
        if module.bias is not None:
            module.bias.data = module.bias.data[rows]
    if columns is not None:
        module.weight.data = module.weight.data[:, columns]
