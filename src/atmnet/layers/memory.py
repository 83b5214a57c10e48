"""Memory in training: what is kept for the backward pass, and how gradients lie in it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.fx import Proxy


def recompute_in_backward(function: Callable[..., Tensor], *args: Tensor) -> Tensor:
    """Return ``function(*args)``; the backward pass recomputes its intermediate tensors instead of keeping them.

    It recomputes only up to the last tensor that it needs, so a matrix product at the end is not repeated. This is what
    ``torch.utils.checkpoint`` does, for functions of tensors without random numbers; that takes several times as long
    as the few operations here, and on a GPU their launches decide how long a step takes. Compilers decide this
    themselves, and torch.func does not support hooks on saved tensors: both get the plain call.
    """
    records_graph = torch.is_grad_enabled() and not torch.jit.is_tracing() and not torch.compiler.is_compiling()
    if records_graph and not torch._C._are_functorch_transforms_active():
        recomputation = _Recomputation(function, args)
        with saved_tensors_hooks(recomputation.pack, recomputation.unpack):
            return function(*args)
    return function(*args)


class _Enough(Exception):
    """Ends a function of which nothing more is needed."""


class _Arguments(torch.autograd.Function):
    """Keeps tensors as every operation does, so that an outer checkpoint, or offloading, sees them."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *args: Tensor) -> Tensor:
        ctx.save_for_backward(*args)
        return anchor.new_empty(0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise AssertionError("nothing depends on it")


class _Recomputation:
    """What a call of a function would keep: its tensors are only numbered, and computed when the first is needed."""

    def __init__(self, function: Callable[..., Tensor], args: tuple[Tensor, ...]) -> None:
        self._function = function
        self._requires_grad = [arg.requires_grad for arg in args]
        self._kept: Any = _Arguments.apply(torch.empty(0, requires_grad=True), *args)
        self._autocast = _autocast_state(args[0].device.type)
        self._count = 0
        self._values: dict[int, Tensor] = {}

    def pack(self, tensor: Tensor) -> int:
        self._count += 1
        return self._count - 1

    def unpack(self, number: int) -> Tensor:
        if number not in self._values:
            self._recompute()
        return self._values.pop(number)

    def _recompute(self) -> None:
        args = [
            arg.detach().requires_grad_(requires_grad)
            for arg, requires_grad in zip(self._kept.grad_fn.saved_tensors, self._requires_grad, strict=True)
        ]
        values = self._values = {}

        def keep(tensor: Tensor) -> None:
            values[len(values)] = tensor.detach()
            if len(values) == self._count:
                raise _Enough

        with suppress(_Enough), torch.enable_grad(), self._autocast(), saved_tensors_hooks(keep, _refuse):
            self._function(*args)


def _refuse(packed: None) -> Tensor:
    raise AssertionError("nothing is differentiated while it is recomputed")


def _autocast_state(device: str) -> Callable[[], AbstractContextManager[object]]:
    """A context with today's state of autocast: a backward pass runs outside of it."""
    if not torch.amp.is_autocast_available(device):
        return nullcontext
    enabled, dtype, cache = (
        torch.is_autocast_enabled(device),
        torch.get_autocast_dtype(device),
        torch.is_autocast_cache_enabled(),
    )
    return lambda: torch.autocast(device, dtype, enabled, cache)


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
