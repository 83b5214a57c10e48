"""RoIAlign over the levels of a pyramid.

Shapes: B images, R boxes over all images, C channels, P x P cells of a box.
"""

from collections.abc import Sequence
from math import log2

from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops._utils import convert_boxes_to_roi_format
from torchvision.ops.poolers import initLevelMapper


class RoIAlign(MultiScaleRoIAlign):
    """torchvision's ``MultiScaleRoIAlign`` with given strides, and optionally aligned boxes.

    torchvision infers the strides from the first batch and keeps them. The result is wrong if padding enlarges an image
    by half of its side or more, as it does for one of 33 pixels.

    Args:
        strides: Strides of the levels, powers of two, finest first; the levels are named '0', '1', ...
        output_size: Number of cells P along each axis.
        sampling_ratio: Samples along each axis of a cell.
        aligned: Whether to shift boxes by half a token, so that tokens are read at their centres instead of their
            corners, and to leave boxes smaller than a token as they are. Detectron2 and mmdetection do this,
            torchvision's detectors do not.

    Shape:
        Dict of maps (B, C, H_i, W_i), boxes [(R_i, 4)] and sizes [(H, W)] of the images -> (R, C, P, P).

    Examples:
        >>> from atmnet.heads import RoIAlign
        >>> pool = RoIAlign([4, 8], 7)
        >>> maps = {"0": torch.randn(1, 8, 16, 16), "1": torch.randn(1, 8, 8, 8)}
        >>> pool(maps, [torch.tensor([[4.0, 4.0, 40.0, 30.0]])], [(64, 64)]).shape
        torch.Size([1, 8, 7, 7])
    """

    def __init__(
        self, strides: Sequence[int], output_size: int, sampling_ratio: int = 2, *, aligned: bool = False
    ) -> None:
        super().__init__([str(i) for i in range(len(strides))], output_size, sampling_ratio)
        self.scales = [1 / stride for stride in strides]
        self.map_levels = initLevelMapper(int(log2(strides[0])), int(log2(strides[-1])))
        self.aligned = aligned

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        if not self.aligned:
            return super().forward(x, boxes, image_shapes)
        maps = [x[name] for name in self.featmap_names]
        rois, levels = convert_boxes_to_roi_format(boxes), self.map_levels(boxes)
        out = maps[0].new_zeros(len(rois), maps[0].shape[1], *self.output_size)
        for level, (level_map, scale) in enumerate(zip(maps, self.scales, strict=True)):
            index = (levels == level).nonzero().squeeze(1)
            cells = roi_align(level_map, rois[index], self.output_size, scale, self.sampling_ratio, aligned=True)
            out[index] = cells.to(out.dtype)
        return out
