"""Semantic FPN and UperNet on any backbone.

Shapes: B images of H x W pixels, K classes; the heads predict at h x w, the size of the finest map.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.tasks.heads import find_head
from atmnet.tasks.pyramid import Pyramid, pyramid
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import ModelOptions


class Segmenter(nn.Module):
    """A pyramid with a head that predicts the label map, and an optional auxiliary head, used only in training.

    Attributes:
        backbone: Images -> feature maps.
        head: List of these maps -> logits.
        auxiliary: The auxiliary head, or None.
        aux_weight: Weight of the auxiliary head's loss.

    Shape:
        Images (B, 3, H, W), normalised, of any size -> in training the list of the heads' logits (B, K, h, w), each of
        its own size; in evaluation logits (B, K, H, W).
    """

    def __init__(
        self, backbone: Pyramid, head: nn.Module, auxiliary: nn.Module | None = None, aux_weight: float = 0.4
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.auxiliary = auxiliary
        self.aux_weight = aux_weight

    def forward(self, images: Tensor, enlarge: bool = True) -> list[Tensor] | Tensor:
        """See the class. Without ``enlarge``, the logits of evaluation are those of the head (B, K, h, w)."""
        # BatchNorm that is synchronised over processes is of another type, and takes one image in each.
        if self.training and len(images) < 2 and any(isinstance(part, nn.BatchNorm2d) for part in self.head.modules()):
            raise UserError(
                "batch_size: got 1 image per process, but the head's BatchNorm needs at least 2 images at once; use "
                'a larger batch_size, or model.head_kwargs {"norm": "group"}'
            )
        maps = list(self.backbone(images).values())
        logits = self.head(maps)
        if not self.training and not enlarge:
            return logits
        if not self.training:
            return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)
        return [logits] if self.auxiliary is None else [logits, self.auxiliary(maps)]


def build_segmenter(options: ModelOptions, num_classes: int) -> Segmenter:
    """Build a segmenter with initial weights.

    Args:
        options: Backbone, neck and head. The head's arguments ``head_kwargs`` are those of its builder in
            :mod:`atmnet.tasks.segmentation_heads`. A head without a neck takes its channels from
            ``options.channels``.
        num_classes: Classes K.

    Raises:
        UserError: If the backbone has no feature maps, the head is unknown, or they do not take an argument.
    """
    head = find_head(options.head, "segmentation")
    assert head.build is not None
    backbone = pyramid(options, extra=None, with_neck=head.neck)
    kwargs = options.head_kwargs if head.neck else {"channels": options.channels, **options.head_kwargs}
    try:
        return Segmenter(backbone, *head.build(backbone, num_classes, **kwargs))
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(f"model.head_kwargs: {options.head}: {first_line(error)}") from error
