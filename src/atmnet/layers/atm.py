"""Active Token Mixer for token grids of any number of axes.

Shapes: B images, L* token axes (W; H W; D H W; ...), C channels, S channels per share group, G = C / S,
A token axes, K = A + 1 branches. Axes are counted from the last: branch 0 looks along the width.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from timm.models import register_notrace_module
from torch import Tensor, nn

from atmnet.ops import sample_along


@register_notrace_module  # it asks for weights' dtypes, which a symbolic trace does not have
class OffsetPredictor(nn.Module):
    """Where each token looks: LayerNorm and one Linear that predicts the offsets along all axes.

    Predicts in float32 at least, whatever the model's or autocast's dtype: half precision loses a hundredth of a
    token at an offset of 5 already.

    Args:
        dim: Channels C.
        share: Consecutive channels S that share an offset; divides C.
        axes: Token axes A.

    Shape:
        (B, L*, C) -> (B, L*, A * G), in tokens; the first G values are the offsets along the last axis.
    """

    def __init__(self, dim: int, share: int = 1, axes: int = 2, device=None, dtype=None) -> None:
        super().__init__()
        if dim % share:
            raise ValueError(f"share: got {share}, expected a divisor of dim={dim}")
        self.norm = nn.LayerNorm(dim, device=device, dtype=dtype)
        self.proj = nn.Linear(dim, axes * dim // share, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            device = self.proj.weight.device.type
            if device != "meta" and torch.is_autocast_enabled(device):  # meta has no autocast to ask about
                with torch.autocast(device, enabled=False):
                    return self._predict(x)
        return self._predict(x)

    def _predict(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(self.proj.weight.dtype, torch.float32)
        x = F.layer_norm(x.to(wide), [x.size(-1)], self.norm.weight.to(wide), self.norm.bias.to(wide), self.norm.eps)
        return F.linear(x, self.proj.weight.to(wide), self.proj.bias.to(wide))


class ATM(nn.Module):
    """Active Token Mixer: look along every axis, per channel, and fuse with what is here.

    Each branch samples the tokens along one axis and multiplies them by a matrix of its own; the identity branch takes
    the tokens as they are. A softmax over the branches, per image and channel, weighs them by their mean over tokens.

    Args:
        dim: Channels C.
        axes: Token axes A: 1 for sequences, 2 for images, 3 for video or volumes.

    Shape:
        x (B, L*, C), offset (B, L*, A * G) as :class:`OffsetPredictor` gives it, optional mask (B, L*), bool, true
        where there is a token -> (B, L*, C). Masked tokens read as zero, like those beyond the border, and enter
        no mean; what comes out at their places is not defined.
    """

    def __init__(self, dim: int, axes: int = 2, device=None, dtype=None) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.dim = dim
        self.axes = axes
        self.along = nn.ModuleList([nn.Linear(dim, dim, **dd) for _ in range(axes)])
        self.identity = nn.Linear(dim, dim, bias=False, **dd)
        self.fusion = Mlp(dim, dim // 4, dim * (axes + 1), **dd)
        self.proj = nn.Linear(dim, dim, **dd)

    def forward(self, x: Tensor, offset: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        if mask is not None:
            x = x.masked_fill(~mask.unsqueeze(-1), 0.0)

        groups = offset.size(-1) // self.axes
        branches = []
        for k, project in enumerate(self.along):
            towards = offset.narrow(-1, k * groups, groups)
            branches.append(project(sample_along(x, towards, -2 - k)))
        branches.append(self.identity(x))

        total = branches[0]
        for branch in branches[1:]:
            total = total + branch
        # (K, B, 1*, C): a softmax over the first axis runs along C, several times as fast as one over the last.
        weights = (
            self.fusion(self._mean(total, mask)).unflatten(-1, (self.dim, self.axes + 1)).movedim(-1, 0).softmax(0)
        )

        mixed = branches[0] * weights[0]
        for k in range(1, len(branches)):
            mixed = mixed + branches[k] * weights[k]
        return self.proj(mixed)

    def _mean(self, x: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Mean over tokens, (B, L*, C) -> (B, 1*, C)."""
        tokens = list(range(1, self.axes + 1))
        if mask is None:
            return x.mean(tokens, keepdim=True)
        count = mask.sum(tokens, keepdim=True).clamp(min=1).unsqueeze(-1)
        return x.masked_fill(~mask.unsqueeze(-1), 0.0).sum(tokens, keepdim=True) / count
