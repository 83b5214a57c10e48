"""Convolutions around the blocks: patch embedding, downsampling, position encoding.

Shapes: B images, L* token axes (H W for images), C channels. Tokens are channels last, images channels first.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import Proxy
from torch.types import Device

from atmnet.layers.bypass import can_bypass
from atmnet.layers.memory import keep_grad_strides
from atmnet.layers.symbolic import record_call

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class PatchEmbed(nn.Module):
    """7x7 convolution of stride 4 and padding 2, the stem of the network.

    Args:
        in_chans: Channels of the image.
        dim: Channels C of the tokens.

    Shape:
        (B, in_chans, H, W) -> (B, (H-3)//4+1, (W-3)//4+1, C)

    Examples:
        >>> from atmnet.layers import PatchEmbed
        >>> PatchEmbed(3, 64)(torch.randn(1, 3, 224, 97)).shape
        torch.Size([1, 56, 24, 64])
    """

    def __init__(self, in_chans: int, dim: int, device: Device = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, kernel_size=7, stride=4, padding=2, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            if torch._C._are_functorch_transforms_active():
                return self.proj(x).permute(0, 2, 3, 1)  # they do not support memory formats
        # Tokens keep this convolution's memory format through all layers; by default it would be channels first.
        maps = self.proj(x.contiguous(memory_format=torch.channels_last))
        if not torch.jit.is_scripting():
            keep_grad_strides(self.proj, maps)
        return maps.permute(0, 2, 3, 1)


class Downsample(nn.Module):
    """3x3 convolution between stages.

    Args:
        dim_in: Channels of the input.
        dim: Channels of the output.
        stride: 2, or 1 to keep the resolution.
        dilation: Distance in tokens between the taps of the convolution.

    Shape:
        (B, H, W, dim_in) -> (B, ceil(H/stride), ceil(W/stride), dim)

    Examples:
        >>> from atmnet.layers import Downsample
        >>> Downsample(64, 128)(torch.randn(1, 15, 14, 64)).shape
        torch.Size([1, 8, 7, 128])
    """

    def __init__(
        self,
        dim_in: int,
        dim: int,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        stride: int = 2,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(
            dim_in, dim, 3, stride=stride, padding=dilation, dilation=dilation, device=device, dtype=dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            if isinstance(x, Proxy):
                return record_call(self, x)
        x = x.permute(0, 3, 1, 2)
        if self._weights_dominate(x):
            patches = F.unfold(x, kernel_size=3, padding=1, stride=2).mT  # (B, N, 9 dim_in)
            out = F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
            return out.unflatten(1, ((x.shape[2] + 1) // 2, -1))
        return self.proj(x).permute(0, 2, 3, 1)

    def _weights_dominate(self, x: Tensor) -> bool:
        """Whether a convolution would spend most time on reordering weights: few tokens, in eager mode on a CPU."""
        if x.device.type != "cpu":
            return False
        if not torch.jit.is_scripting():
            if torch.compiler.is_compiling() or torch.jit.is_tracing() or not can_bypass(self.proj):
                return False
        # Other libraries change strides and dilations in place.
        if self.proj.stride != (2, 2) or self.proj.dilation != (1, 1) or self.proj.padding != (1, 1):
            return False
        return x.shape[0] * x.shape[2] * x.shape[3] < self.proj.out_channels


class PositionEncoding(nn.Module):
    """Conditional position encoding (arXiv 2102.10882): a depthwise convolution of width 3 with a residual.

    Args:
        dim: Channels C.
        axes: Number of token axes: 1, 2 or 3.
        dilation: Distance in tokens between the taps of the convolution.

    Shape:
        x (B, L*, C), optional mask (B, L*), bool, true where there is a token -> (B, L*, C). Masked tokens count as
        zero.

    Raises:
        ValueError: If ``axes`` is not 1, 2 or 3.

    Examples:
        >>> from atmnet.layers import PositionEncoding
        >>> PositionEncoding(64, axes=3)(torch.randn(1, 4, 7, 7, 64)).shape  # 4 frames
        torch.Size([1, 4, 7, 7, 64])
    """

    def __init__(
        self,
        dim: int,
        axes: int = 2,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        if axes not in _CONV:
            raise ValueError(f"axes: got {axes}, expected 1, 2 or 3")
        self.conv = _CONV[axes](
            dim, dim, 3, padding=dilation, dilation=dilation, groups=dim, device=device, dtype=dtype
        )
        # torch's TorchScript exporter writes wrong files for movedim.
        self.to_maps = [0, axes + 1, *range(1, axes + 1)]
        self.to_tokens = [0, *range(2, axes + 2), 1]

    def forward(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        if mask is not None:
            x = x.masked_fill(~mask.unsqueeze(-1), 0.0)
        maps = self.conv(x.permute(self.to_maps))
        if not torch.jit.is_scripting():
            keep_grad_strides(self.conv, maps)
        return x + maps.permute(self.to_tokens)
