"""Sampling of images by ``grid_sample``, for runtimes that gather slowly.

Shapes: B images, H x W tokens, C channels, S channels per share group, G = C / S.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.export.plain.layers import PlainATM, PredictTaps
from atmnet.export.plain.neck import PlainAlign


def by_grids(model: nn.Module) -> nn.Module:
    """``model``, as :func:`atmnet.export.plain.rewrite.exportable` gives it, with grids in place of taps; in place.

    The alignment of an ATMFPN goes on to gather: it is small.
    """
    aligned = {id(module.offset) for module in model.modules() if isinstance(module, PlainAlign)}
    for module in model.modules():
        if isinstance(module, PlainATM):
            module.__class__ = GridATM
        elif isinstance(module, PredictTaps) and id(module) not in aligned:
            module.__class__ = PredictGrids
    return model


class PredictGrids(PredictTaps):
    """Offsets as grids of places (B * G, H, W, 2): tokens (B, H, W, C) -> one grid for each axis, the last first."""

    def forward(self, x: Tensor) -> list[Tensor]:
        offset = self.proj(self.norm(x))
        height, width = x.shape[1:3]
        rows, columns = torch.arange(height).view(-1, 1, 1), torch.arange(width).view(-1, 1)
        along_width, along_height = (part.unsqueeze(-1) for part in offset.chunk(2, -1))
        grids = []
        for across, down in ((along_width, 0 * along_width), (0 * along_height, along_height)):
            # Half a token is the unit of the border, so that an image of a single token has places, too.
            across = (2 * (across.squeeze(-1) + columns) + 1) / width - 1
            down = (2 * (down.squeeze(-1) + rows) + 1) / height - 1
            grids.append(torch.stack([across, down], -1).permute(0, 3, 1, 2, 4).flatten(0, 1))
        return grids


class GridATM(PlainATM):
    """:class:`PlainATM` at grids."""

    def lengths(self, offset: list[Tensor]) -> torch.Size:
        return offset[0].shape[1:-1]

    def sampled(self, x: Tensor, offset: list[Tensor], k: int) -> Tensor:
        """What branch ``k`` reads of x (B, H, W, S, G)."""
        maps = x.permute(0, 4, 3, 1, 2)
        found = F.grid_sample(maps.flatten(0, 1), offset[k], align_corners=False).unflatten(0, maps.shape[:2])
        return found.permute(0, 3, 4, 2, 1)
