"""Active Token Mixer for token grids of any number of axes.

Shapes: B images, L* token axes (W; H W; D H W; ...), C channels, S channels per share group, G = C / S,
A token axes, K = A + 1 branches. Axes are counted from the last: branch 0 samples along the width.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Optional

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn
from torch.fx import Proxy
from torch.types import Device

from atmnet.layers.bypass import call_in_float32, can_bypass
from atmnet.layers.factory import FactoryOptions
from atmnet.layers.memory import recompute_in_backward
from atmnet.layers.symbolic import record_call
from atmnet.ops import sample_branches


class OffsetPredictor(nn.Module):
    """Predicts where each token samples: LayerNorm and one Linear give the offsets along all axes.

    It computes in float32 or wider, whatever the dtype of the model or of autocast: in half precision an offset of 5
    is already wrong by a hundredth of a token.

    Args:
        dim: Channels C.
        share: Number of consecutive channels S that share an offset; must divide C.
        axes: Number of token axes A.
        dilation: Factor by which the predicted offsets are multiplied.

    Shape:
        (B, L*, C) -> (B, L*, A * G), in tokens; the first G values are the offsets along the last axis.

    Raises:
        ValueError: If ``share`` does not divide ``dim``.

    Examples:
        >>> from atmnet.layers import OffsetPredictor
        >>> OffsetPredictor(64, share=2, axes=1)(torch.randn(1, 100, 64)).shape  # one offset for each two channels
        torch.Size([1, 100, 32])
    """

    #: What TorchScript compiles: set when it does.
    script_reads_weights: Final[bool]

    def __init__(
        self,
        dim: int,
        share: int = 1,
        axes: int = 2,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.script_reads_weights = True
        if dim % share:
            raise ValueError(f"share: got {share}, expected a divisor of dim={dim}")
        self.norm = nn.LayerNorm(dim, device=device, dtype=dtype)
        self.proj = nn.Linear(dim, axes * dim // share, device=device, dtype=dtype)

    def __prepare_scriptable__(self) -> "OffsetPredictor":
        self.script_reads_weights = can_bypass(self.norm, self.proj)  # type: ignore[misc]
        return self

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_scripting():
            if not self.script_reads_weights:
                return self._scaled(self.proj(self.norm(x.float())))
            return self._scaled(self._predict(x))
        if isinstance(x, Proxy):
            return record_call(self, x)
        with _without_autocast(x.device.type):
            if can_bypass(self.norm, self.proj):
                return self._scaled(recompute_in_backward(self._predict, x))
            return self._scaled(call_in_float32(self.proj, call_in_float32(self.norm, x)))

    def _scaled(self, offset: Tensor) -> Tensor:
        return offset if self.dilation == 1 else offset * self.dilation

    def _predict(self, x: Tensor) -> Tensor:
        dtype = torch.promote_types(self.proj.weight.dtype, torch.float32)
        if self.proj.weight.dtype == dtype:
            return self.proj(self.norm(x.to(dtype)))
        weight, bias = _cast(self.norm.weight, dtype), _cast(self.norm.bias, dtype)
        x = F.layer_norm(x.to(dtype), [x.size(-1)], weight, bias, self.norm.eps)
        return F.linear(x, self.proj.weight.to(dtype), _cast(self.proj.bias, dtype))


class ATM(nn.Module):
    """Active Token Mixer: sample tokens along every axis, per channel, and fuse the samples with the tokens themselves.

    Each branch samples the tokens along one axis and multiplies them by its own matrix; the identity branch takes the
    tokens as they are. The weights of the branches, for each image and channel, are a softmax computed from the mean
    over tokens. With s_k the samples of branch k (paper section 3.2):

        a   = softmax over k of fusion(sum_k mean(W_k s_k + b_k))
        out = P (sum_k a_k * (W_k s_k + b_k)) + p

    Averaging and multiplying by a matrix commute, so a needs only the means of s_k. If there are many more tokens than
    channels, the matrices are folded into one per image: out = sum_k s_k M_k + beta, M_k = W_k' diag(a_k) P',
    beta = P sum_k a_k * b_k + p. This is the same function with fewer products and without intermediate tensors.

    Args:
        dim: Channels C.
        axes: Number of token axes A: 1 for sequences, 2 for images, 3 for video or volumes.

    Attributes:
        fold: Whether to fold the matrices. None, the default, folds if that is faster: from K * C tokens on. The layer
            never folds if a Linear has hooks, was replaced by another module, or has weights that are no plain tensors,
            because folding reads the weights and does not call the modules.

    Shape:
        x (B, L*, C), offset (B, L*, A * G) from :class:`OffsetPredictor`, optional mask (B, L*), bool, true where there
        is a token -> (B, L*, C). Masked tokens read as zero, like those beyond the border, and count in no mean; the
        output at their positions is undefined.

    Raises:
        ValueError: If ``mask`` is not bool or not of the shape (B, L*).

    Examples:
        >>> from atmnet.layers import ATM, OffsetPredictor
        >>> predict, mix = OffsetPredictor(64, share=2), ATM(64)
        >>> x = torch.randn(1, 14, 14, 64)
        >>> mix(x, predict(x)).shape
        torch.Size([1, 14, 14, 64])
    """

    fold: Optional[bool]
    #: What TorchScript compiles: set when it does.
    script_may_fold: Final[bool]

    def __init__(self, dim: int, axes: int = 2, device: Device = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        dd = FactoryOptions(device=device, dtype=dtype)
        self.dim = dim
        self.axes = axes
        self.fold = None
        self.script_may_fold = True
        self.along = nn.ModuleList([nn.Linear(dim, dim, **dd) for _ in range(axes)])
        self.identity = nn.Linear(dim, dim, bias=False, **dd)
        self.fusion = Mlp(dim, dim // 4, dim * (axes + 1), **dd)
        self.proj = nn.Linear(dim, dim, **dd)

    def __prepare_scriptable__(self) -> "ATM":
        self.script_may_fold = can_bypass(*self.along, self.identity, self.proj)  # type: ignore[misc]
        return self

    def forward(self, x: Tensor, offset: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            if isinstance(x, Proxy):
                return record_call(self, x, offset, mask)
        if mask is not None:
            if mask.dtype != torch.bool or mask.shape != x.shape[:-1]:
                raise ValueError(f"mask: got {mask.dtype} {mask.shape}, expected bool {x.shape[:-1]}")
            x = x.masked_fill(~mask.unsqueeze(-1), 0.0)
        if not torch.jit.is_scripting():
            x = _to_autocast_dtype(x)
        samples = sample_branches(x, offset, self.axes).flatten(1, self.axes)  # (B, N, K, C)
        if self.script_may_fold or not torch.jit.is_scripting():  # known when TorchScript compiles
            if self._should_fold(samples.size(1)):
                return self._forward_folded(samples, mask).view(x.shape)
        return self._forward_plain(samples, mask).view(x.shape)

    def _forward_plain(self, samples: Tensor, mask: Optional[Tensor]) -> Tensor:
        parts = samples.unbind(2)  # indexing would allocate a full tensor of zeros for the gradient of each branch
        branches: list[Tensor] = []
        for k, project in enumerate(self.along):
            branches.append(project(parts[k]))
        branches.append(self.identity(parts[-1]))

        total = _mean(branches[0], mask)
        for branch in branches[1:]:
            total = total + _mean(branch, mask)
        weights = self._branch_weights(total).to(samples.dtype)
        if not torch.jit.is_scripting():
            if can_bypass(self.proj):
                return recompute_in_backward(self._fuse_unpacked, weights, *branches)
        return self._fuse(weights, branches)

    @torch.jit.unused
    def _fuse_unpacked(self, weights: Tensor, *branches: Tensor) -> Tensor:
        return self._fuse(weights, list(branches))

    def _fuse(self, weights: Tensor, branches: list[Tensor]) -> Tensor:
        mixed = branches[0] * weights[0].unsqueeze(-2)
        for k in range(1, len(branches)):
            mixed = torch.addcmul(mixed, branches[k], weights[k].unsqueeze(-2))
        return self.proj(mixed)

    def _forward_folded(self, samples: Tensor, mask: Optional[Tensor]) -> Tensor:
        means = _mean(samples, mask)
        total = self.identity(means[:, -1])
        for k, project in enumerate(self.along):
            total = total + project(means[:, k])
        weights = self._branch_weights(total)
        if torch.jit.is_scripting():
            return self._folded_product(samples, weights)
        with _without_autocast(samples.device.type):
            return recompute_in_backward(self._folded_product, samples, weights)

    def _folded_product(self, samples: Tensor, weights: Tensor) -> Tensor:
        dtype = samples.dtype
        wide = torch.promote_types(dtype, torch.float32)  # the matrices are formed in float32 or wider
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
        # Added inside, p would have its gradient rounded for each image, and their sum once more.
        return torch.baddbmm(beta.to(dtype), samples.flatten(-2), folded) + self.proj.bias.to(dtype)

    def _branch_weights(self, total: Tensor) -> Tensor:
        """Mean over tokens of the sum of the branches, (B, C) -> weights of the branches (K, B, C)."""
        return self.branch_softmax(self.fusion(total))

    def branch_softmax(self, logits: Tensor) -> Tensor:
        """Outputs of ``fusion`` (B, C * K) -> weights of the branches (K, B, C), which sum to 1 over K."""
        # A softmax over the first axis is vectorised along C, which is several times as fast as one over the last.
        return logits.unflatten(-1, (self.dim, self.axes + 1)).permute(2, 0, 1).softmax(0)

    def _should_fold(self, tokens: int) -> bool:
        """Whether to fold: for N tokens folding takes K N C^2 + K C^3 products, not folding (K + 1) N C^2."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_exporting() or torch.jit.is_tracing():
                return False  # other runtimes do not become faster by it
        fold = self.fold
        wanted = fold if fold is not None else tokens >= (self.axes + 1) * self.dim
        if not torch.jit.is_scripting():
            return wanted and can_bypass(*self.along, self.identity, self.proj)
        return wanted


def _cast(tensor: Optional[Tensor], dtype: torch.dtype) -> Optional[Tensor]:
    return tensor.to(dtype) if tensor is not None else None


def _autocast_enabled(device: str) -> bool:
    return device != "meta" and torch.is_autocast_enabled(device)  # torch has no autocast state for meta


def _without_autocast(device: str) -> AbstractContextManager[object]:
    return torch.autocast(device, enabled=False) if _autocast_enabled(device) else nullcontext()


def _to_autocast_dtype(x: Tensor) -> Tensor:
    """Cast x as autocast would for a matrix product: sampling in half precision moves half the bytes."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if x.dtype == torch.float32 and _autocast_enabled(device) else x


def _mean(x: Tensor, mask: Optional[Tensor]) -> Tensor:
    """Mean over the tokens of (B, N, ..), or over those for which ``mask`` (B, L*) is true: (B, ..)."""
    if mask is None:
        return x.mean(1)
    mask = mask.flatten(1)
    while mask.dim() < x.dim():
        mask = mask.unsqueeze(-1)
    return x.masked_fill(~mask, 0.0).sum(1) / mask.sum(1).clamp(min=1)
