"""Trades a little time for memory in training."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recompute_in_backward(function: Callable[..., Tensor], *args: Tensor) -> Tensor:
    """Return ``function(*args)``; the backward pass recomputes its intermediate tensors instead of keeping them.

    It recomputes only up to the last tensor that it needs, so a matrix product at the end is not repeated. Compilers
    decide this themselves, and torch.func does not support checkpoints: both get the plain call.
    """
    records_graph = torch.is_grad_enabled() and not torch.jit.is_tracing() and not torch.compiler.is_compiling()
    if records_graph and not torch._C._are_functorch_transforms_active():
        return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)
    return function(*args)
