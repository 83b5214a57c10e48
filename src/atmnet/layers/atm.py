"""Active Token Mixer for token grids of any number of axes.

Shapes: B images, L* token axes (W; H W; D H W; ...), C channels, S channels per share group, G = C / S,
A token axes, K = A + 1 branches. Axes are counted from the last: branch 0 looks along the width.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Optional

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from timm.models import register_notrace_module
from torch import Tensor, nn

from atmnet.layers.memory import recomputed
from atmnet.ops import sample_branches


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
        if torch.jit.is_scripting():
            return self._predict(x)
        with _no_autocast(x.device.type):
            return recomputed(self._predict, x)

    def _predict(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(self.proj.weight.dtype, torch.float32)
        if self.proj.weight.dtype == wide:
            return self.proj(self.norm(x.to(wide)))
        x = F.layer_norm(x.to(wide), [x.size(-1)], self.norm.weight.to(wide), self.norm.bias.to(wide), self.norm.eps)
        return F.linear(x, self.proj.weight.to(wide), self.proj.bias.to(wide))


@register_notrace_module  # it goes by the size of its input
class ATM(nn.Module):
    """Active Token Mixer: look along every axis, per channel, and fuse with what is here.

    Each branch samples the tokens along one axis and multiplies them by a matrix of its own; the identity branch takes
    the tokens as they are. A softmax over the branches, per image and channel, weighs them by their mean over tokens.
    With s_k the samples of branch k and the mean over tokens (paper section 3.2):

        a   = softmax over k of fusion(sum_k mean(W_k s_k + b_k))
        out = P (sum_k a_k * (W_k s_k + b_k)) + p

    Averaging and multiplying by a matrix commute, so a needs only the means of s_k. Where there are many more tokens
    than channels, the matrices are folded into one per image: the same function with fewer products and without the
    tensors between, out = sum_k s_k M_k + beta, M_k = W_k' diag(a_k) P', beta = P sum_k a_k * b_k + p.

    Args:
        dim: Channels C.
        axes: Token axes A: 1 for sequences, 2 for images, 3 for video or volumes.

    Attributes:
        fold: Whether to fold the matrices; None, the default, where that is faster: from K * C tokens on.
            Never where hooks watch a Linear, or another module stands in for it: the fold reads weights alone.

    Shape:
        x (B, L*, C), offset (B, L*, A * G) as :class:`OffsetPredictor` gives it, optional mask (B, L*), bool, true
        where there is a token -> (B, L*, C). Masked tokens read as zero, like those beyond the border, and enter
        no mean; what comes out at their places is not defined.
    """

    fold: Optional[bool]

    def __init__(self, dim: int, axes: int = 2, device=None, dtype=None) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.dim = dim
        self.axes = axes
        self.fold = None
        self.along = nn.ModuleList([nn.Linear(dim, dim, **dd) for _ in range(axes)])
        self.identity = nn.Linear(dim, dim, bias=False, **dd)
        self.fusion = Mlp(dim, dim // 4, dim * (axes + 1), **dd)
        self.proj = nn.Linear(dim, dim, **dd)

    def forward(self, x: Tensor, offset: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        if mask is not None:
            if mask.dtype != torch.bool or mask.shape != x.shape[:-1]:
                raise ValueError(f"mask: got {mask.dtype} {mask.shape}, expected bool {x.shape[:-1]}")
            x = x.masked_fill(~mask.unsqueeze(-1), 0.0)
        if not torch.jit.is_scripting():
            x = _as_autocast(x)
        samples = sample_branches(x, offset, self.axes).flatten(1, self.axes)  # (B, N, K, C)
        if self._folds(samples.size(1)):
            return self._folded(samples, mask).view(x.shape)
        return self._plain(samples, mask).view(x.shape)

    def _plain(self, samples: Tensor, mask: Optional[Tensor]) -> Tensor:
        parts = samples.unbind(2)  # not by index: the gradient of that is a whole tensor of zeros for each
        branches: list[Tensor] = []
        for k, project in enumerate(self.along):
            branches.append(project(parts[k]))
        branches.append(self.identity(parts[-1]))

        total = _mean(branches[0], mask)
        for branch in branches[1:]:
            total = total + _mean(branch, mask)
        weights = self._weights(total).to(samples.dtype)
        if not torch.jit.is_scripting():
            return recomputed(self._weighed, weights, *branches)
        return self._proj_of_sum(weights, branches)

    @torch.jit.unused
    def _weighed(self, weights: Tensor, *branches: Tensor) -> Tensor:
        return self._proj_of_sum(weights, list(branches))

    def _proj_of_sum(self, weights: Tensor, branches: list[Tensor]) -> Tensor:
        mixed = branches[0] * weights[0].unsqueeze(-2)
        for k in range(1, len(branches)):
            mixed = torch.addcmul(mixed, branches[k], weights[k].unsqueeze(-2))
        return self.proj(mixed)

    def _folded(self, samples: Tensor, mask: Optional[Tensor]) -> Tensor:
        means = _mean(samples, mask)
        total = self.identity(means[:, -1])
        for k, project in enumerate(self.along):
            total = total + project(means[:, k])
        weights = self._weights(total)
        if torch.jit.is_scripting():
            return self._product(samples, weights)
        with _no_autocast(samples.device.type):
            return recomputed(self._product, samples, weights)

    def _product(self, samples: Tensor, weights: Tensor) -> Tensor:
        dtype = samples.dtype
        wide = torch.promote_types(dtype, torch.float32)
        weights, proj = weights.to(wide), self.proj.weight.to(wide)
        matrices: list[Tensor] = []  # M_k', (B, C, C)
        bias = torch.zeros_like(weights[0])
        for k, layer in enumerate(self.along):
            matrices.append((proj * weights[k].unsqueeze(-2)) @ layer.weight.to(wide))  # type: ignore[operator]
            bias = bias + weights[k] * layer.bias.to(wide)  # type: ignore[operator]
        matrices.append((proj * weights[-1].unsqueeze(-2)) @ self.identity.weight.to(wide))
        folded = torch.cat(matrices, -1).mT.to(dtype)  # (B, K * C, C)
        beta = F.linear(bias, proj).unsqueeze(-2)  # (B, 1, C), without p
        if dtype == wide:
            return torch.baddbmm(beta + self.proj.bias, samples.flatten(-2), folded)
        # The gradient of p would be rounded for each image, then once more.
        return torch.baddbmm(beta.to(dtype), samples.flatten(-2), folded) + self.proj.bias.to(dtype)

    def _weights(self, total: Tensor) -> Tensor:
        """Mean over tokens of the sum of the branches, (B, C) -> weights of the branches (K, B, C)."""
        # A softmax over the first axis runs along C, several times as fast as one over the last.
        return self.fusion(total).unflatten(-1, (self.dim, self.axes + 1)).movedim(-1, 0).softmax(0)

    def _folds(self, tokens: int) -> bool:
        """Whether to fold: for N tokens that takes K N C^2 + K C^3 products, against (K + 1) N C^2."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_exporting() or torch.jit.is_tracing():
                return False  # other runtimes gain nothing by it
            if not all(map(_is_plain, (*self.along, self.identity, self.proj))):
                return False  # the fold reads weights, and would pass by what stands in for a Linear, or watches it
        fold = self.fold
        return fold if fold is not None else tokens >= (self.axes + 1) * self.dim


def _is_plain(module: nn.Module) -> bool:
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) is nn.Linear and not hooked


def _autocasts(device: str) -> bool:
    return device != "meta" and torch.is_autocast_enabled(device)  # meta has no autocast to ask about


def _no_autocast(device: str) -> AbstractContextManager[Any]:
    return torch.autocast(device, enabled=False) if _autocasts(device) else nullcontext()


def _as_autocast(x: Tensor) -> Tensor:
    """x as autocast would hand it to a matrix product: what is sampled in half precision moves half the bytes."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if x.dtype == torch.float32 and _autocasts(device) else x


def _mean(x: Tensor, mask: Optional[Tensor]) -> Tensor:
    """Mean over tokens of (B, N, ..), or over those where ``mask`` (B, L*) is true: (B, ..)."""
    if mask is None:
        return x.mean(1)
    mask = mask.flatten(1)
    while mask.dim() < x.dim():
        mask = mask.unsqueeze(-1)
    return x.masked_fill(~mask, 0.0).sum(1) / mask.sum(1).clamp(min=1)
