"""Makes a kernel an operator of torch: with autograd, and with shapes without data.

Shapes: x (.., C) tokens, offset (.., A * G) displacements along the A axes ``dims``, K branches: A, or A + 1 with the
tokens themselves as the last; C = G * S.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from atmnet.ops._reference import sample_reference

Sample = Callable[[Tensor, Tensor, list[int], bool], Tensor]
Backward = Callable[[Tensor, Tensor, Tensor, list[int]], tuple[Tensor, Tensor]]


def operator(name: str, sample: Sample, backward: Backward) -> Sample:
    """Register ``atmnet::{name}`` and its backward; the backward is differentiated through the reference.

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
    def _(x, offset, dims, identity):
        return x.new_empty(*x.shape[:-1], len(dims) + identity, x.shape[-1])

    @backward_op.register_fake
    def _(grad, x, offset, dims):
        return x.new_empty(x.shape), offset.new_empty(offset.shape)

    def save(ctx, inputs, output):
        x, offset, ctx.dims, ctx.identity = inputs
        # The last branch is x itself: keeping the output, which products need anyway, spares keeping x.
        ctx.save_for_backward(output if ctx.identity else x, offset)

    def differentiate(ctx, grad):
        x, offset = ctx.saved_tensors
        grad_x, grad_offset = backward_op(grad, x[..., -1, :] if ctx.identity else x, offset, ctx.dims)
        return grad_x, grad_offset, None, None

    forward_op.register_autograd(differentiate, setup_context=save)

    def save_again(ctx, inputs, output):
        grad, x, offset, ctx.dims = inputs
        ctx.save_for_backward(grad, x, offset)

    def differentiate_again(ctx, *grads):
        if torch.is_grad_enabled():
            raise RuntimeError(f"third derivatives: backend {name!r} has two; ask for backend='reference'")
        with torch.enable_grad():
            inputs = [saved.detach().requires_grad_() for saved in ctx.saved_tensors]
            grad, x, offset = inputs
            out = sample_reference(x, offset, ctx.dims, grad.shape[-2] > len(ctx.dims))
            once = torch.autograd.grad(out, (x, offset), grad, create_graph=True)
        return *torch.autograd.grad(once, inputs, grads, allow_unused=True), None

    backward_op.register_autograd(differentiate_again, setup_context=save_again)

    return forward_op
