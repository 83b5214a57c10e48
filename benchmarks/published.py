"""The published formulation of ATMNet, for comparison: the same function and weights, computed as by its authors.

Each branch is a 1x1 deformable convolution by torchvision's ``deform_conv2d`` with one offset group for each channel:
offsets are expanded to all channels, and materialised for both axes although those of the other axis are zero. The
three branches are projected, stored, averaged, weighted, summed and projected again. Pictures and tokens change their
memory layout at the same places as in the authors' code. Parameters have our names, so that our state dict loads.

Shapes: B images, H x W tokens, C channels, S channels per share group.
"""

from typing import Any

import timm
import torch
from timm.layers import Mlp
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

import atmnet  # noqa: F401


class Branch(nn.Module):
    """Samples along one axis: tokens (B, C, H, W), offsets (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, dim: int, axis: int, bias: bool = True) -> None:
        super().__init__()
        self.axis = axis  # 0 along the width, 1 along the height
        self.weight = nn.Parameter(torch.randn(dim, dim) / dim**0.5)
        self.register_parameter("bias", nn.Parameter(torch.zeros(dim)) if bias else None)

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        batch, dim, height, width = x.shape
        both = torch.zeros(batch, 2 * dim, height, width, dtype=x.dtype, device=x.device)
        both[:, 1 - self.axis :: 2] += offset  # deform_conv2d takes (vertical, horizontal) for each channel
        return deform_conv2d(x, both, self.weight[:, :, None, None], self.bias)


class ATM(nn.Module):
    """Tokens (B, H, W, C), offsets (B, 2C, H, W), the width's first -> (B, H, W, C)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.along = nn.ModuleList([Branch(dim, axis) for axis in range(2)])
        self.identity = nn.Linear(dim, dim, bias=False)
        self.fusion = Mlp(dim, dim // 4, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        dim = x.shape[-1]
        image = x.permute(0, 3, 1, 2)
        w = self.along[0](image, offset[:, :dim]).permute(0, 2, 3, 1)
        h = self.along[1](image, offset[:, dim:]).permute(0, 2, 3, 1)
        c = self.identity(x)
        mean = (w + h + c).permute(0, 3, 1, 2).flatten(2).mean(2)
        a = self.fusion(mean).unflatten(-1, (dim, 3)).permute(2, 0, 1).softmax(0)[:, :, None, None]
        return self.proj(w * a[0] + h * a[1] + c * a[2])


class Block(nn.Module):
    """Tokens (B, H, W, C), offsets (B, 2C, H, W) -> (B, H, W, C)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.atm = ATM(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        x = x + self.atm(self.norm1(x), offset)
        return x + self.mlp(self.norm2(x))


class Offset(nn.Module):
    """Tokens (B, H, W, C) -> offsets (B, 2C, H, W), expanded to all channels."""

    def __init__(self, dim: int, share: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.proj = nn.Linear(dim, 2 * dim // share)
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.norm(x)).repeat_interleave(self.share, dim=-1).permute(0, 3, 1, 2)


class Group(nn.Module):
    """Blocks that share offsets, and the layer that predicts the offsets."""

    def __init__(self, dim: int, share: int, hidden: list[int]) -> None:
        super().__init__()
        self.offset = Offset(dim, share)
        self.blocks = nn.ModuleList([Block(dim, width) for width in hidden])

    def forward(self, x: Tensor) -> Tensor:
        offset = self.offset(x)
        for block in self.blocks:
            x = block(x, offset)
        return x


class Downsample(nn.Module):
    """Tokens (B, H, W, C') -> (B, H/2, W/2, C)."""

    def __init__(self, dim_in: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(dim_in, dim, kernel_size=3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class PositionEncoding(nn.Module):
    """Tokens (B, H, W, C) -> (B, H, W, C)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, kernel_size=3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        image = x.permute(0, 3, 1, 2)
        return (self.conv(image) + image).permute(0, 2, 3, 1)


class Stage(nn.Module):
    """All blocks at one resolution, after downsampling (except in the first stage)."""

    def __init__(self, dim: int, dim_in: int | None, share: int, hidden: list[list[int]]) -> None:
        super().__init__()
        self.downsample = nn.Identity() if dim_in is None else Downsample(dim_in, dim)
        self.pos_embed = PositionEncoding(dim)
        self.groups = nn.ModuleList([Group(dim, share, widths) for widths in hidden])

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        for group in self.groups:
            x = group(self.pos_embed(x))
        return x


class Published(nn.Module):
    """The network with the architecture of ``ours``, an ATMNet. Image (B, 3, H, W) -> logits."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        dims = [info["num_chs"] for info in ours.feature_info]
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(ours.in_chans, dims[0], 7, stride=4, padding=2)})
        stages = []
        for i, stage in enumerate(ours.stages):
            share = 2 * dims[i] // stage.groups[0].offset.proj.out_features
            hidden = [[block.mlp.fc1.out_features for block in group.blocks] for group in stage.groups]
            stages.append(Stage(dims[i], dims[i - 1] if i else None, share, hidden))
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(dims[-1])
        self.head = nn.ModuleDict({"fc": nn.Linear(dims[-1], ours.num_classes)})

    def forward(self, image: Tensor) -> Tensor:
        x = self.stages(self.patch_embed["proj"](image).permute(0, 2, 3, 1))
        return self.head["fc"](self.norm(x.flatten(1, 2)).mean(1))


def build(name: str, **kwargs: Any) -> Published:
    """The published formulation of ``timm.create_model(name, **kwargs)``, with its weights."""
    ours = timm.create_model(name, **kwargs)
    published = Published(ours)
    published.load_state_dict(ours.state_dict())
    return published
