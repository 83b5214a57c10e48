"""Where a network looks: the offsets at which the branches of each stage sample, and how much of each gets through.

Shapes: B images, H x W tokens, C channels, G share groups, K = 3 branches: along the width, along the height, and the
token itself.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atmnet.layers import ATM, Block, OffsetPredictor


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


class BlockMixing(NamedTuple):
    """How much of what a block samples reaches its tokens.

    Attributes:
        weights: (K, B, C) the softmax of the fusion, which is the same at all tokens of an image.
        kept: (B,) the share of the residual connection, |x| / (|x| + |mixed|), as a mean over tokens; the norms are
            over the channels of the block's input x and of what its ATM adds.
    """

    weights: Tensor
    kept: Tensor


class Mixing(NamedTuple):
    """The offsets of one group of blocks, and the fusion of each of its blocks; ATM layers outside of blocks have
    offsets only."""

    look: Look
    blocks: list[BlockMixing]


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


def record_looks(model: nn.Module, run: Callable[[], Any]) -> list[Look]:
    """The offsets of all groups of blocks of ``model`` while ``run`` runs it, in order."""
    return [mixing.look for mixing in record_mixing(model, run)]


@torch.no_grad()
def record_mixing(model: nn.Module, run: Callable[[], Any]) -> list[Mixing]:
    """The offsets and fusion weights of all groups of blocks of ``model`` while ``run`` runs it, in order."""
    mixings: list[Mixing] = []
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, OffsetPredictor):
            hooks.append(
                module.register_forward_hook(
                    lambda _module, _args, offset, name=name: mixings.append(
                        Mixing(Look(name, *offset.chunk(2, dim=-1)), [])
                    )
                )
            )
        elif isinstance(module, Block) and isinstance(module.atm, ATM):  # other libraries replace modules
            hooks += _record_block(module, mixings)
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return mixings


def _record_block(block: Block, mixings: list[Mixing]) -> list[Any]:
    """Hooks that append the mixing of ``block`` to the last of ``mixings``, whose offsets the block takes."""
    measured: dict[str, Tensor] = {}

    def on_input(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        measured["x"] = args[0].float().norm(dim=-1)

    def on_fusion(_module: nn.Module, _args: object, logits: Tensor) -> None:
        measured["weights"] = block.atm.branch_softmax(logits)

    def on_mixed(_module: nn.Module, _args: object, mixed: Tensor) -> None:
        if not mixings:  # the offsets come from elsewhere
            return
        x = measured["x"]
        kept = x / (x + mixed.float().norm(dim=-1)).clamp(min=torch.finfo(torch.float32).tiny)
        mixings[-1].blocks.append(BlockMixing(measured["weights"], kept.flatten(1).mean(1)))

    return [
        block.register_forward_pre_hook(on_input),
        block.atm.fusion.register_forward_hook(on_fusion),
        block.atm.register_forward_hook(on_mixed),
    ]
