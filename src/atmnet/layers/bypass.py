"""Modules that users see are called, so that they can be hooked, wrapped, adapted and quantised.

A faster form of a layer that uses the weights of modules without calling these asks :func:`can_bypass` first.
"""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.module import _has_any_global_hook

#: Types of modules that have faster forms, with their own ``forward``: a class can be patched, too.
_FORWARDS = {kind: kind.forward for kind in (nn.Linear, nn.LayerNorm, nn.Conv2d, nn.GELU, nn.Dropout, nn.Identity)}
_TENSORS = (Tensor, nn.Parameter)
_HALF = (torch.bfloat16, torch.float16)


def can_bypass(*modules: nn.Module) -> bool:
    """Whether nobody could notice that ``modules`` are not called, or called on parts of their input, or called twice.

    False if a module is of another type than torch's own (a subclass, a wrapper, a parametrised module), has hooks or
    a ``forward`` of its own, or weights that are no plain tensors; or if torch calls hooks for all modules. False for a
    Dropout that is active.
    """
    if _has_any_global_hook():
        return False
    for module in modules:
        kind = type(module)
        if kind not in _FORWARDS or kind.forward is not _FORWARDS[kind] or "forward" in module.__dict__:
            return False
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
            return False
        if isinstance(module, nn.Dropout) and module.training and module.p > 0:
            return False
        for parameter in module._parameters.values():
            if parameter is not None and type(parameter) not in _TENSORS:
                return False
    return True


def call_in_float32(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)`` in float32, or in float64 if the parameters are, also in a model of half precision.

    The parameters take part in float32, and get their gradients. If some of them are of a subclass of Tensor, such as
    quantised or sharded weights, the module computes in its own precision, and only its output is in float32.
    """
    tensors = dict(chain(module.named_parameters(), module.named_buffers()))
    half = {name: tensor for name, tensor in tensors.items() if tensor.dtype in _HALF}
    if not half:
        dtype = torch.float64 if any(t.dtype == torch.float64 for t in tensors.values()) else torch.float32
        return module(x.to(dtype))
    if any(type(tensor) not in _TENSORS for tensor in half.values()):
        return module(x.to(next(iter(half.values())).dtype)).to(torch.float32)
    wide = {name: tensor.to(torch.float32) for name, tensor in half.items()}
    out = functional_call(module, wide, (x.to(torch.float32),))
    for name, tensor in half.items():
        if not isinstance(tensor, nn.Parameter) and wide[name]._version:  # a statistic that the module updated
            with torch.no_grad():
                tensor.copy_(wide[name])
    return out
