"""The head of Semantic FPN, the semantic branch of "Panoptic Feature Pyramid Networks" (arXiv 1901.02446).

Shapes: B images, K classes, C channels; level i of the pyramid is H_i x W_i, level 0 the finest.
"""

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation


class SemanticFPNHead(nn.Module):
    """Upsamples every level to the finest one, sums them, and classifies each position.

    A level goes through one 3x3 convolution with GroupNorm and ReLU for each finer level, and is upsampled to the size
    of the next finer level after each. The finest level has one convolution.

    Args:
        in_channels: Channels of every level of the pyramid.
        levels: Number of levels.
        num_classes: Number of classes K.
        channels: Channels C of the convolutions; a multiple of 32, the number of groups of GroupNorm.
        dropout: Probability of dropping each channel before the classifier.

    Shape:
        Levels [(B, in_channels, H_i, W_i)], finest first, of any sizes -> logits (B, K, H_0, W_0).

    Examples:
        >>> from atmnet.heads import SemanticFPNHead
        >>> head = SemanticFPNHead(64, levels=2, num_classes=5)
        >>> head([torch.randn(1, 64, 25, 33), torch.randn(1, 64, 13, 17)]).shape
        torch.Size([1, 5, 25, 33])
    """

    def __init__(
        self, in_channels: int, levels: int, num_classes: int, *, channels: int = 128, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                nn.ModuleList([_conv(channels if depth else in_channels, channels) for depth in range(max(level, 1))])
                for level in range(levels)
            ]
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, num_classes, kernel_size=1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.get_parameter("bias"))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        total = None
        for level, (x, branch) in enumerate(zip(maps, self.branches, strict=True)):
            for depth, conv in enumerate(cast(nn.ModuleList, branch)):
                x = conv(x)
                if level:
                    size = maps[level - 1 - depth].shape[-2:]
                    x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            total = x if total is None else total + x
        return self.classifier(self.dropout(total))


def _conv(in_channels: int, channels: int) -> Conv2dNormActivation:
    return Conv2dNormActivation(in_channels, channels, norm_layer=lambda dim: nn.GroupNorm(32, dim))
