"""Less memory for the same function."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Tensor], *args: Tensor) -> Tensor:
    """``function(*args)``, with what lies between computed again for the backward pass instead of kept.

    Only up to the last value that is needed: a matrix product at the end is not repeated. Compilers make such choices
    themselves, and torch.func knows no checkpoints: both get the plain call.
    """
    recorded = torch.is_grad_enabled() and not torch.jit.is_tracing() and not torch.compiler.is_compiling()
    if recorded and not torch._C._are_functorch_transforms_active():
        return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)
    return function(*args)
