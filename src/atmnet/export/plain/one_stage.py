"""RetinaNet and FCOS: the raw outputs of the head, or the objects that torchvision selects from these.

Shapes: B images of H x W pixels, K classes, N anchors of all levels, M candidates, D detections.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from atmnet.export.plain.anchors import OUT, LevelAnchors, best, clipped, padded
from atmnet.export.plain.boxes import suppress

#: Names of the raw outputs, in torchvision and in files. Only FCOS has the last one.
_RAW_OUTPUTS = {
    "cls_logits": "class_logits",
    "bbox_regression": "box_regression",
    "bbox_ctrness": "centerness_logits",
}


def raw_output_names(model: Any) -> list[str]:
    """Names of the raw outputs of a detector in files, without the anchors."""
    has_centerness = hasattr(model.head.regression_head, "bbox_ctrness")
    return [name for part, name in _RAW_OUTPUTS.items() if part != "bbox_ctrness" or has_centerness]


class RawOneStage(nn.Module):
    """The raw outputs of the head, for any number of images.

    Shape:
        Images (B, 3, H, W) -> class logits (B, N, K), box regression (B, N, 4), for FCOS centre-ness logits (B, N, 1),
        and anchors (N, 4) in pixels.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        images = padded(images, self.model.transform.size_divisible)
        levels = list(self.model.backbone(images).values())
        out = self.model.head(levels)
        return (*_in_order(out), self.anchors(images, levels))

    def anchors(self, images: Tensor, levels: list[Tensor]) -> Tensor:
        """Anchors of torchvision's own generator."""
        return self.model.anchor_generator(ImageList(images, [tuple(images.shape[-2:])]), levels)[0]


class PlainRawOneStage(RawOneStage):
    """:class:`RawOneStage` in plain operations."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.generators = _generators(model)

    def anchors(self, images: Tensor, levels: list[Tensor]) -> Tensor:
        """The same anchors in plain operations."""
        return torch.cat([of(images, level) for of, level in zip(self.generators, levels, strict=True)])


class PlainOneStage(nn.Module):
    """The detector with its selection of objects, for one image.

    Shape:
        Image (1, 3, H, W) -> boxes (D, 4) in pixels, scores (D,), labels (D,), the best first. If there are fewer
        than D objects, the other scores are 0.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.generators = _generators(model)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        model = self.model
        inside = padded(image, model.transform.size_divisible)
        parts = []
        for level, anchors in zip(model.backbone(inside).values(), self.generators, strict=True):
            logits, deltas, *ctrness = (out[0] for out in _in_order(model.head([level])))
            scores = logits.sigmoid()
            if ctrness:
                scores = (scores * ctrness[0].sigmoid()).sqrt()
            scores = torch.where(scores > model.score_thresh, scores, OUT).flatten()
            scores, places = best(scores, model.topk_candidates)
            rows, labels = places // logits.shape[-1], places % logits.shape[-1]
            coder = model.box_coder
            decode = coder.decode if ctrness else coder.decode_single
            parts.append((clipped(decode(deltas[rows], anchors(inside, level)[rows]), image), scores, labels))
        boxes, scores, labels = (torch.cat(part) for part in zip(*parts, strict=True))
        mine = labels == torch.arange(logits.shape[-1]).unsqueeze(1)
        kept = suppress(boxes[None], torch.where(mine, scores, OUT)[None], model.nms_thresh)[0].any(0)
        scores, rows = best(torch.where(kept, scores, OUT), model.detections_per_img)
        return boxes[rows], scores, labels[rows]


def _generators(model: Any) -> nn.ModuleList:
    generator = model.anchor_generator
    return nn.ModuleList([LevelAnchors(generator, level) for level in range(len(generator.cell_anchors))])


def _in_order(out: dict[str, Tensor]) -> list[Tensor]:
    return [out[name] for name in _RAW_OUTPUTS if name in out]
