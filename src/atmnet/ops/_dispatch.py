"""The public operators: they check their arguments and call one backend.

Shapes: L tokens along the sampled axis, C channels, S channels per share group, G = C / S groups.
"""

import os
from collections.abc import Callable
from typing import NamedTuple, Optional

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function

from atmnet.ops import _numba, _triton
from atmnet.ops._custom import SampleFunction, register_operator
from atmnet.ops._reference import sample_reference


class _Backend(NamedTuple):
    #: (x, offset, dims, identity) -> samples (.., K, C).
    sample: SampleFunction
    #: (device, dtype) -> why the backend cannot run on such tensors; None if it can.
    unavailable_reason: Callable[[torch.device, torch.dtype], str | None]


# Fastest first: if the caller names no backend, the first one that can run is used.
_BACKENDS = {
    "triton": _Backend(
        register_operator("triton", _triton.sample, _triton.sample_backward), _triton.unavailable_reason
    ),
    "numba": _Backend(register_operator("numba", _numba.sample, _numba.sample_backward), _numba.unavailable_reason),
    "reference": _Backend(sample_reference, lambda device, dtype: None),
}


def available_backends(x: Tensor) -> list[str]:
    """Names of the backends that can run on tensors like ``x`` (device and dtype), fastest first.

    Args:
        x: Tokens (.., C); only their device and dtype matter.

    Examples:
        >>> from atmnet.ops import available_backends
        >>> available_backends(torch.zeros(2, 3, dtype=torch.float64))[-1]  # always there
        'reference'
    """
    return [name for name in _BACKENDS if _unavailable_reason(name, x.device, x.dtype) is None]


def default_backend(x: Tensor) -> str:
    """The backend for tensors like ``x`` where the caller names none: ATMNET_BACKEND, else the fastest that can run."""
    return os.environ.get("ATMNET_BACKEND") or available_backends(x)[0]


def unavailable_reasons(x: Tensor) -> dict[str, str | None]:
    """Why each backend cannot run on tensors like ``x``, or None if it can; fastest first."""
    return {name: _unavailable_reason(name, x.device, x.dtype) for name in _BACKENDS}


@torch.compiler.assume_constant_result  # installed packages and device capabilities do not change: no need to trace
def _unavailable_reason(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    return _BACKENDS[name].unavailable_reason(device, dtype)


def sample_along(x: Tensor, offset: Tensor, dim: int, backend: Optional[str] = None) -> Tensor:
    """Sample every token's channels at an offset along one axis.

    ``out[.., i, .., c]`` is ``x`` at the real-valued position ``i + offset[.., i, .., c // S]`` of axis ``dim``,
    linearly interpolated between its two neighbours; tokens outside ``0 .. L-1`` count as zero. A NaN offset gives
    NaN at its outputs and adds nothing to the gradient of ``x``; infinite offsets give zero. The gradient with
    respect to the offset is the right-hand difference, at integer positions too.

    Args:
        x: Tokens (.., L, .., C), channels last, floating point.
        offset: Displacements in tokens, shaped like ``x`` with G in place of C: each value serves the C / G
            consecutive channels of its share group. Its dtype may be wider than that of ``x``; positions are computed
            in float32 or wider. It may be a strided slice.
        dim: The axis to sample along: any but the last.
        backend: Name of the implementation; see :func:`available_backends`. Default: the environment variable
            ``ATMNET_BACKEND`` if set, else the fastest backend that can run.

    Returns:
        A tensor of ``x``'s shape and dtype.

    Raises:
        ValueError: If a shape, dtype, device or the backend is not valid. The message names the argument and what was
            expected.

    Examples:
        Three tokens of one channel, each of which reads half a token to the right; beyond the last one is zero:

        >>> from atmnet.ops import sample_along
        >>> x = torch.tensor([0.0, 10.0, 20.0]).reshape(1, 3, 1)
        >>> sample_along(x, torch.full((1, 3, 1), 0.5), dim=1).flatten().tolist()
        [5.0, 15.0, 10.0]
    """
    if torch.jit.is_scripting():
        return sample_reference(x, offset, [dim], False).squeeze(-2)
    if has_torch_function((x, offset)):  # a symbolic trace of torch.fx records one node, for example
        return handle_torch_function(sample_along, (x, offset), x, offset, dim, backend)
    _check(x, offset, dim)
    return _select_sampler(x, backend)(x, offset, [dim % x.dim() - x.dim()], False).squeeze(-2)


def sample_branches(x: Tensor, offset: Tensor, axes: int, backend: Optional[str] = None) -> Tensor:
    """Samples of all branches of an ATM: :func:`sample_along` for each axis, then the tokens themselves.

    Args:
        x: Tokens (B, L*, C) with ``axes`` token axes, floating point.
        offset: Displacements (B, L*, axes * G): the first G along the last token axis, the next G along the axis
            before it, and so on.
        axes: Number of token axes A.
        backend: Name of the implementation. Default: as in :func:`sample_along`.

    Returns:
        A tensor (B, L*, A + 1, C) of ``x``'s dtype.

    Raises:
        ValueError: As for :func:`sample_along`.

    Examples:
        >>> from atmnet.ops import sample_branches
        >>> x, offset = torch.randn(1, 5, 7, 8), torch.randn(1, 5, 7, 2 * 4)  # two axes, G = 4
        >>> sample_branches(x, offset, axes=2).shape
        torch.Size([1, 5, 7, 3, 8])
    """
    dims = [-2 - k for k in range(axes)]
    if torch.jit.is_scripting():
        return sample_reference(x, offset, dims, True)
    if has_torch_function((x, offset)):
        return handle_torch_function(sample_branches, (x, offset), x, offset, axes, backend)
    if axes < 1 or x.dim() != axes + 2:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected (B, L*, C) with {axes} token axes (at least one)")
    if offset.shape[-1] % axes:
        raise ValueError(f"offset: got {offset.shape[-1]} channels, expected a multiple of axes={axes}")
    _check(x, offset[..., : offset.shape[-1] // axes], dims[-1])
    return _select_sampler(x, backend)(x, offset, dims, True)


def _select_sampler(x: Tensor, name: str | None) -> SampleFunction:
    if torch.compiler.is_exporting() or torch.jit.is_tracing() or _in_function_transform():
        return sample_reference  # other runtimes support only plain operations, and only these have all derivatives
    name = name or default_backend(x)
    if name not in _BACKENDS:
        raise ValueError(f"backend: got {name!r}, expected one of {', '.join(_BACKENDS)}")
    reason = _unavailable_reason(name, x.device, x.dtype)
    if reason is not None:
        raise ValueError(f"backend: {name!r} cannot run here: {reason}")
    return _BACKENDS[name].sample


@torch.compiler.assume_constant_result
def _in_function_transform() -> bool:
    """Whether a torch.func transform (vmap, grad, jvp ...) or forward-mode differentiation is active."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _check(x: Tensor, offset: Tensor, dim: int) -> None:
    for name, tensor in (("x", x), ("offset", offset)):
        if not tensor.is_floating_point():
            raise ValueError(f"{name}: got dtype {tensor.dtype}, expected a floating point type")
    if x.dim() < 2:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected at least two axes (.., L, .., C)")
    if not -x.dim() <= dim < x.dim() or dim % x.dim() == x.dim() - 1:
        raise ValueError(f"dim: got {dim}, expected an axis of x {tuple(x.shape)} other than the last (channels)")
    if offset.shape[:-1] != x.shape[:-1]:
        raise ValueError(
            f"offset: got shape {tuple(offset.shape)}, expected {tuple(x.shape[:-1])} + (G,): x's shape with share "
            "groups in place of channels"
        )
    if offset.shape[-1] == 0 or x.shape[-1] % offset.shape[-1]:
        raise ValueError(
            f"offset: got {offset.shape[-1]} share groups, expected a divisor of x's {x.shape[-1]} channels"
        )
    if offset.device != x.device:
        raise ValueError(f"offset: got device {offset.device}, expected x's device {x.device}")
