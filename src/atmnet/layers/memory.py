"""Memory in training: what is kept for the backward pass, and how gradients lie in it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.fx import Proxy
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


def keep_grad_strides(conv: nn.Module, out: Tensor) -> None:
    """Let the gradient of a convolution's weights have their strides, for the convolution that computed ``out``.

    With channels last, torch gives axes of size 1 other strides in the gradient, as in (C, 1, 3, 3) of a depthwise
    convolution. That is the same memory, but DistributedDataParallel warns of it at every start.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active():
        return
    weight = conv._parameters.get("weight")
    if weight is None or 1 not in weight.shape or isinstance(out, Proxy) or out.grad_fn is None:
        return
    shape, strides = weight.shape, weight.stride()

    def with_strides_of_weight(grads: tuple[Tensor | None, ...], _: object) -> tuple[Tensor | None, ...]:
        return tuple(_restrided(grad, shape, strides) for grad in grads)

    out.grad_fn.register_hook(with_strides_of_weight)


def _restrided(grad: Tensor | None, shape: torch.Size, strides: tuple[int, ...]) -> Tensor | None:
    """``grad`` with other strides of its axes of size 1, if it is of this shape and they are its only difference."""
    if grad is None or grad.shape != shape or torch._C._are_functorch_transforms_active():
        return grad
    same_memory = all(n == 1 or a == b for n, a, b in zip(shape, grad.stride(), strides, strict=True))
    return grad.as_strided(shape, strides) if same_memory and grad.stride() != strides else grad
