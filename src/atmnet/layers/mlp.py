"""The MLP of a block."""

import math

import timm.layers
import torch
import torch.nn.functional as F
from timm.models import register_notrace_module
from torch import Tensor

from atmnet.layers.memory import recompute_in_backward

# Hidden values per slice of tokens in inference: few enough for the cache of a core, and for the allocator to reuse
# memory instead of requesting it from the system for each slice.
_MAX_HIDDEN_VALUES = 2**20


@register_notrace_module  # it branches on the size of its input
class MemoryEfficientMlp(timm.layers.Mlp):
    """timm's ``Mlp`` (Linear, GELU, Linear) with less memory for the hidden activations, a network's largest tensors.

    The backward pass recomputes the output of GELU instead of keeping it, which saves a quarter of a block's memory for
    1 % of its time. Inference on the CPU computes the tokens in slices. Arguments and parameters are those of timm's.

    Shape:
        (.., in_features) -> (.., out_features)
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_scripting():
            return self._gelu_fc2(self.fc1(x))
        hidden = self.fc1.weight.shape[0]
        size, tokens = max(1, _MAX_HIDDEN_VALUES // hidden), math.prod(x.shape[:-1])
        if x.device.type != "cpu" or tokens <= size or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return recompute_in_backward(self._gelu_fc2, self.fc1(x))
        slices = x.reshape(tokens, -1).split(size)
        return torch.cat([self._gelu_fc2(self.fc1(part)) for part in slices]).view(*x.shape[:-1], -1)

    def _gelu_fc2(self, hidden: Tensor) -> Tensor:
        return self.fc2(F.gelu(hidden))
