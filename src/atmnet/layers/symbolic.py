"""Layers in the symbolic traces of torch.fx."""

from typing import Any

from torch import nn
from torch.fx import Proxy


def record_call(module: nn.Module, proxy: Proxy, *args: Any) -> Any:
    """Record ``module(proxy, *args)`` as one node, as torch.fx does for modules of torch itself.

    A symbolic trace has no sizes and dtypes, on which the forms of some layers depend.

    Raises:
        RuntimeError: If ``module`` itself is traced, and not a model that contains it.
    """
    tracer: Any = proxy.tracer
    if module is tracer.root:
        raise RuntimeError(f"torch.fx: {type(module).__name__} is a single node; trace a module that contains it")
    return tracer.create_proxy("call_module", tracer.path_of_module(module), (proxy, *args), {})
