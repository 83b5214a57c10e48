"""Sampling of images by ``grid_sample``, for runtimes that gather slowly.

Shapes: B images, H x W tokens, C channels, S channels per share group, G = C / S.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.export.plain.layers import PlainATM, PredictTaps
from atmnet.export.plain.neck import PlainAlign
from atmnet.export.plain.visit import replace_modules


def by_grids(model: nn.Module) -> nn.Module:
    """An exportable model with grids in place of taps.

    The alignment of an ATMFPN keeps its taps, since it is small.

    Args:
        model: A network of :func:`atmnet.export.plain.rewrite.exportable`; changed in place.
    """

    def replacement(module: nn.Module) -> nn.Module:
        if isinstance(module, PlainATM):
            return GridATM(module, module.groups)
        if isinstance(module, PredictTaps):
            return PredictGrids(module, module.axes)
        return module

    return replace_modules(model, replacement, keep=(PlainAlign,)).eval()


class PredictGrids(PredictTaps):
    """Offsets as grids of positions (B * G, H, W, 2): tokens (B, H, W, C) -> one grid for each axis, the last first."""

    def forward(self, x: Tensor) -> list[Tensor]:
        offset = self.proj(self.norm(x))
        height, width = x.shape[1:3]
        rows, columns = torch.arange(height).view(-1, 1, 1), torch.arange(width).view(-1, 1)
        along_width, along_height = (part.unsqueeze(-1) for part in offset.chunk(2, -1))
        grids = []
        for across, down in ((along_width, 0 * along_width), (0 * along_height, along_height)):
            # The range -1..1 ends half a token outside, so that a single token has a position, too.
            across = (2 * (across.squeeze(-1) + columns) + 1) / width - 1
            down = (2 * (down.squeeze(-1) + rows) + 1) / height - 1
            grids.append(torch.stack([across, down], -1).permute(0, 3, 1, 2, 4).flatten(0, 1))
        return grids


class GridATM(PlainATM):
    """:class:`PlainATM` that samples at grids."""

    def lengths(self, offset: list[Tensor]) -> torch.Size:
        return offset[0].shape[1:-1]

    def sampled(self, x: Tensor, offset: list[Tensor], k: int) -> Tensor:
        """The values of x (B, H, W, S, G) that branch ``k`` reads."""
        maps = x.permute(0, 4, 3, 1, 2)
        sampled = F.grid_sample(maps.flatten(0, 1), offset[k], align_corners=False).unflatten(0, maps.shape[:2])
        return sampled.permute(0, 3, 4, 2, 1)
