"""Where a network looks: the offsets at which the branches of each stage sample."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atmnet.layers import OffsetPredictor


class Look(NamedTuple):
    """The offsets at which one group of blocks samples.

    Attributes:
        name: Name of the module that predicts them, e.g. ``stages.2.groups.0.offset``.
        width: (B, H, W, G) displacements along the width, in tokens of this stage.
        height: (B, H, W, G) displacements along the height.
    """

    name: str
    width: Tensor
    height: Tensor


def sampling_places(model: nn.Module, image: Tensor) -> list[Look]:
    """Run a network on images and record where its blocks sample.

    Args:
        model: An ATMNet, or any module that contains one. Its training or evaluation mode does not change.
        image: What the model takes, (B, in_chans, H, W).

    Returns:
        The offsets of each group of blocks, in order; an empty list for a network without ATM.

    Examples:
        >>> from atmnet.models import sampling_places
        >>> looks = sampling_places(timm.create_model("atmnet_nano"), torch.randn(1, 3, 64, 64))
        >>> looks[0].name, looks[0].width.shape  # displacements of 16x16 tokens along the row, in tokens
        ('stages.0.groups.0.offset', torch.Size([1, 16, 16, 16]))
    """
    return record_looks(model, lambda: model(image))


@torch.no_grad()
def record_looks(model: nn.Module, run: Callable[[], Any]) -> list[Look]:
    """The offsets of all groups of blocks of ``model`` while ``run`` runs it, in order."""
    looks: list[Look] = []
    hooks = [
        module.register_forward_hook(
            lambda _module, _args, offset, name=name: looks.append(Look(name, *offset.chunk(2, dim=-1)))
        )
        for name, module in model.named_modules()
        if isinstance(module, OffsetPredictor)
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return looks
