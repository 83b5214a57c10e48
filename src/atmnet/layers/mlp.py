"""The MLP of a block, with an eye on memory."""

import math

import timm.layers
import torch
import torch.nn.functional as F
from timm.models import register_notrace_module
from torch import Tensor

from atmnet.layers.memory import recomputed

# Hidden values that are held at once where nothing has to be kept: few enough for the cache of a core, and for memory
# that the allocator has at hand rather than fetches from the system anew each time.
_HELD = 2**20


@register_notrace_module  # it goes by the size of its input
class Mlp(timm.layers.Mlp):
    """Linear, GELU, Linear, as timm's; but the hidden activations, the largest tensors of a network, are spared.

    What GELU gives is computed again in the backward pass instead of kept: a quarter of a block's memory for a
    hundredth of its time. Without gradients on the CPU, tokens pass in slices.

    Shape:
        (.., in_features) -> (.., out_features)
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_scripting():
            return self._second(self.fc1(x))
        hidden = self.fc1.weight.shape[0]
        size, tokens = max(1, _HELD // hidden), math.prod(x.shape[:-1])
        if x.device.type != "cpu" or tokens <= size or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return recomputed(self._second, self.fc1(x))
        slices = x.reshape(tokens, -1).split(size)
        return torch.cat([self._second(self.fc1(part)) for part in slices]).view(*x.shape[:-1], -1)

    def _second(self, hidden: Tensor) -> Tensor:
        return self.fc2(F.gelu(hidden))
