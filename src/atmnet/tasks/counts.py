"""Losses that are means over things of which processes have different numbers."""

import torch.distributed as dist
from torch import Tensor


def shares_of(counts: Tensor) -> Tensor:
    """What to multiply means by, so that their averages over processes are the means over all things together.

    With n_r of N things in process r of R, n_r R / N: averaged over processes, the sums of all are divided by N. A mean
    over nothing is taken for a sum divided by 1.

    Args:
        counts: Numbers of things that this process's means are over.
    """
    counts = counts.detach().float()
    if not dist.is_initialized():
        return counts.new_ones(counts.shape)
    total = counts.clone()
    dist.all_reduce(total)
    return counts.clamp(min=1) * dist.get_world_size() / total.clamp(min=1)
