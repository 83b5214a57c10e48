"""Losses that are means over items, of which processes have different numbers."""

import torch.distributed as dist
from torch import Tensor


def loss_scales(counts: Tensor) -> Tensor:
    """Factors for the means of this process, so that the average over processes is the mean over all items.

    If process r of R has n_r of N items, its factor is n_r R / N: the average over processes is then the sum over all
    items, divided by N. A mean over no items counts as a sum divided by 1.

    Args:
        counts: Number of items in this process, for each mean.
    """
    counts = counts.detach().float()
    if not dist.is_initialized():
        return counts.new_ones(counts.shape)
    total = counts.clone()
    dist.all_reduce(total)
    return counts.clamp(min=1) * dist.get_world_size() / total.clamp(min=1)
