"""A copy of a network for export, which computes the same function in plain operations on interleaved channels.

Reordering the channels of a stage only permutes weights, so no value changes beyond the order of a sum. The network
itself is left unchanged.
"""

import copy
from typing import Any

from timm.layers import ClassifierHead
from torch import Tensor, nn

from atmnet.export.plain.layers import PlainATM, PlainGroup, PlainPositions, PredictTaps, Restore
from atmnet.export.plain.neck import PlainPool, rewrite_neck
from atmnet.export.plain.reorder import interleaved, reorder, reorder_atm
from atmnet.export.plain.visit import replace_modules
from atmnet.models import ATMNet
from atmnet.necks import ATMFPN


def exportable(model: nn.Module) -> nn.Module:
    """A copy of ``model``, on the CPU, in float32 and for inference; every ATMNet and ATMFPN in it is rewritten.

    Args:
        model: Any module. Networks of other libraries in it are copied as they are.

    Examples:
        >>> import timm
        >>> from atmnet.export import exportable
        >>> plain = exportable(timm.create_model("atmnet_nano"))
        >>> plain(torch.randn(1, 3, 64, 64)).shape
        torch.Size([1, 10])
    """
    model = copy.deepcopy(model).cpu().float().requires_grad_(False)

    def replacement(module: nn.Module) -> nn.Module:
        if isinstance(module, ATMNet):
            _rewrite(module, alone=module is model)
        elif isinstance(module, ATMFPN):
            rewrite_neck(module)
        elif type(module) is nn.AdaptiveAvgPool2d and isinstance(module.output_size, int) and module.output_size > 1:
            return PlainPool(module.output_size)
        return module

    return replace_modules(model, replacement).eval()


def _rewrite(network: Any, alone: bool) -> None:
    """Rewrite an ATMNet in place.

    Args:
        network: The ATMNet.
        alone: Whether only the logits leave the network, and not the maps of its stages.
    """
    head = network.head
    folded = alone and isinstance(head, ClassifierHead) and isinstance(head.fc, nn.Linear)
    incoming: Tensor | None = None
    stages = []
    for i, stage in enumerate(network.stages):
        groups = stage.groups[0].offset.proj.out_features // stage.groups[0].blocks[0].atm.axes
        order = interleaved(stage.groups[0].offset.norm.normalized_shape[0], groups)
        if i == 0:
            reorder(network.patch_embed.proj, rows=order)
        else:
            reorder(stage.downsample.proj, rows=order, columns=incoming)
        _rewrite_stage(stage, order, groups)
        incoming = order if folded else None
        stages.append(stage if folded else nn.Sequential(stage, Restore(groups)))
    network.stages = nn.Sequential(*stages)
    if folded:
        assert incoming is not None
        reorder(network.norm, rows=incoming)
        reorder(head.fc, columns=incoming)


def _rewrite_stage(stage: Any, order: Tensor, groups: int) -> None:
    reorder(stage.pos_embed.conv, rows=order)
    stage.pos_embed = PlainPositions(stage.pos_embed.conv)
    for i, group in enumerate(stage.groups):
        offset: Any = group.offset
        reorder(offset.norm, rows=order)
        reorder(offset.proj, columns=order)
        blocks: Any = group.blocks
        for block in blocks:
            for norm in (block.norm1, block.norm2):
                reorder(norm, rows=order)
            reorder_atm(block.atm, order)
            reorder(block.mlp.fc1, columns=order)
            reorder(block.mlp.fc2, rows=order)
            axes = block.atm.axes
            block.atm = PlainATM(block.atm, groups)
            block.mlp = nn.Sequential(block.mlp.fc1, nn.GELU(), block.mlp.fc2)
        stage.groups[i] = PlainGroup(PredictTaps(offset, axes), blocks)
