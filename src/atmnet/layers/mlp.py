"""The MLP of a block."""

import math

import timm.layers
import torch
from torch import Tensor
from torch.fx import Proxy

from atmnet.layers.bypass import can_bypass
from atmnet.layers.memory import recompute_in_backward
from atmnet.layers.symbolic import record_call

# Hidden values per slice of tokens in inference: few enough for the cache of a core, and for the allocator to reuse
# memory instead of requesting it from the system for each slice.
_MAX_HIDDEN_VALUES = 2**20


class MemoryEfficientMlp(timm.layers.Mlp):
    """timm's ``Mlp`` (Linear, GELU, Linear) with less memory for the hidden activations, a network's largest tensors.

    The backward pass recomputes the output of GELU instead of keeping it, which saves a quarter of a block's memory for
    1 % of its time. Inference on the CPU computes the tokens in slices. If its modules have hooks or were replaced,
    each of them is called once on all tokens, as in timm's. Arguments and parameters are those of timm's.

    Shape:
        (.., in_features) -> (.., out_features)
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_scripting():
            return self._after_fc1(self.fc1(x))
        if isinstance(x, Proxy):
            return record_call(self, x)
        unseen = can_bypass(*self._modules.values())  # type: ignore[arg-type]
        if torch.is_grad_enabled():
            hidden = self.fc1(x)
            return recompute_in_backward(self._after_fc1, hidden) if unseen else self._after_fc1(hidden)
        if unseen and x.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.jit.is_tracing():
            width: int = self.fc1.out_features  # type: ignore[assignment]
            size, tokens = max(1, _MAX_HIDDEN_VALUES // width), math.prod(x.shape[:-1])
            if tokens > size:
                slices = x.reshape(tokens, -1).split(size)
                return torch.cat([self._after_fc1(self.fc1(part)) for part in slices]).view(*x.shape[:-1], -1)
        return self._after_fc1(self.fc1(x))

    def _after_fc1(self, hidden: Tensor) -> Tensor:
        return self.drop2(self.fc2(self.norm(self.drop1(self.act(hidden)))))
