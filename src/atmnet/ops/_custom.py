"""Registers a backend's kernels as PyTorch operators, with autograd and with output shapes for tracing.

Shapes: x (.., C) tokens; offset (.., A * G) displacements along the A axes ``dims``; C = G * S. There are K branches:
one for each axis, and the tokens themselves as the last if ``identity``.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from atmnet.ops._reference import sample_reference

SampleFunction = Callable[[Tensor, Tensor, list[int], bool], Tensor]
BackwardFunction = Callable[[Tensor, Tensor, Tensor, list[int]], tuple[Tensor, Tensor]]


class _Context(Protocol):
    """The autograd context of a custom operator."""

    dims: list[int]
    identity: bool
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


def register_operator(name: str, sample: SampleFunction, backward: BackwardFunction) -> SampleFunction:
    """Register ``atmnet::{name}`` and its backward, and return the operator.

    The backward is differentiated through the reference, which gives second and further derivatives.

    Args:
        name: Name of the backend.
        sample: (x, offset, dims, identity) -> samples (.., K, C).
        backward: (grad (.., K, C), x, offset, dims) -> gradients of x and offset.
    """

    @torch.library.custom_op(f"atmnet::{name}", mutates_args=())
    def forward_op(x: Tensor, offset: Tensor, dims: list[int], identity: bool) -> Tensor:
        return sample(x, offset, dims, identity)

    @torch.library.custom_op(f"atmnet::{name}_backward", mutates_args=())
    def backward_op(grad: Tensor, x: Tensor, offset: Tensor, dims: list[int]) -> tuple[Tensor, Tensor]:
        return backward(grad, x, offset, dims)

    @forward_op.register_fake
    def _(x: Tensor, offset: Tensor, dims: list[int], identity: bool) -> Tensor:
        return x.new_empty(*x.shape[:-1], len(dims) + identity, x.shape[-1])

    @backward_op.register_fake
    def _(grad: Tensor, x: Tensor, offset: Tensor, dims: list[int]) -> tuple[Tensor, Tensor]:
        return x.new_empty(x.shape), offset.new_empty(offset.shape)

    def save_for_backward(ctx: _Context, inputs: tuple[Tensor, Tensor, list[int], bool], output: Tensor) -> None:
        x, offset, ctx.dims, ctx.identity = inputs
        # The last branch of the output is x itself, and the products that follow save the output anyway: not saving x
        # in addition takes less memory.
        ctx.save_for_backward(output if ctx.identity else x, offset)

    def differentiate(ctx: _Context, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, offset = ctx.saved_tensors
        grad_x, grad_offset = backward_op(grad, x[..., -1, :] if ctx.identity else x, offset, ctx.dims)
        return grad_x, grad_offset, None, None

    forward_op.register_autograd(differentiate, setup_context=save_for_backward)

    @forward_op.register_vmap
    def _(info: Any, in_dims: tuple[Any, ...], x: Tensor, offset: Tensor, dims: list[int], identity: bool) -> Any:
        x, offset = _batched(info.batch_size, in_dims, x, offset)
        return forward_op(x, offset, dims, identity), 0

    @backward_op.register_vmap
    def _(info: Any, in_dims: tuple[Any, ...], grad: Tensor, x: Tensor, offset: Tensor, dims: list[int]) -> Any:
        grad, x, offset = _batched(info.batch_size, in_dims, grad, x, offset)
        return backward_op(grad, x, offset, dims), (0, 0)

    def save_for_double_backward(
        ctx: _Context, inputs: tuple[Tensor, Tensor, Tensor, list[int]], output: tuple[Tensor, Tensor]
    ) -> None:
        grad, x, offset, ctx.dims = inputs
        ctx.save_for_backward(grad, x, offset)

    def differentiate_backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        further = torch.is_grad_enabled()  # third derivatives may follow
        with torch.enable_grad():
            inputs = [
                saved.view_as(saved) if further and saved.requires_grad else saved.detach().requires_grad_()
                for saved in ctx.saved_tensors
            ]
            grad, x, offset = inputs
            out = sample_reference(x, offset, ctx.dims, grad.shape[-2] > len(ctx.dims))
            first = torch.autograd.grad(out, (x, offset), grad, create_graph=True)
        return *torch.autograd.grad(first, inputs, grads, create_graph=further, allow_unused=True), None

    backward_op.register_autograd(differentiate_backward, setup_context=save_for_double_backward)

    return forward_op


def _batched(size: int, in_dims: tuple[int | None, ...], *tensors: Tensor) -> list[Tensor]:
    """Tensors that ``torch.vmap`` maps over, with the axis of the batch first: the operators take any axes before L."""
    return [
        tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, in_dims, strict=False)
    ]
