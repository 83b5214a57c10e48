"""Faster R-CNN, Mask R-CNN and Cascade Mask R-CNN, from one image to its objects.

Shapes: H x W pixels, K classes with background, R proposals, D detections, M x M pixels of a mask.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from atmnet.export.plain.anchors import OUT, LevelAnchors, best, clipped, large, padded
from atmnet.export.plain.boxes import pool_boxes, suppress
from atmnet.heads import CascadeRoIHeads

#: Least side of a detection in pixels, as in torchvision.
_LEAST = 1e-2


class PlainTwoStage(nn.Module):
    """The detector with its selection of objects, for one image.

    Shape:
        Image (1, 3, H, W) -> boxes (D, 4) in pixels, scores (D,), labels (D,) from 0 without background, the best
        first, and if the detector has masks, these (D, 1, M, M) in 0..1, each for its box. If there are fewer than D
        objects, the other scores are 0.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        generator = model.rpn.anchor_generator
        self.generators = nn.ModuleList([LevelAnchors(generator, i) for i in range(len(generator.cell_anchors))])
        heads = model.roi_heads
        self.stages: list[Any] = list(heads.stages) if isinstance(heads, CascadeRoIHeads) else [heads]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        inside = padded(image, self.model.transform.size_divisible)
        maps = self.model.backbone(inside)
        boxes, objectness = self._proposals(image, inside, list(maps.values()))
        logits, deltas = _predict(self.stages[0], maps, boxes)
        shares = [logits.softmax(-1)]
        for before, stage in pairwise(self.stages):
            boxes = clipped(before.box_coder.decode_single(deltas[:, :4], boxes), image)
            logits, deltas = _predict(stage, maps, boxes)
            shares.append(logits.softmax(-1))
        class_scores = torch.stack(shares).mean(0)[:, 1:].T * (objectness > OUT)  # (K - 1, R)
        boxes, scores, labels = _detections(self.stages[-1], class_scores, deltas, boxes, image)
        if not self.stages[0].has_mask():
            return boxes, scores, labels
        masks = [_masks(stage, maps, boxes, labels + 1) for stage in self.stages]
        return boxes, scores, labels, torch.stack(masks).mean(0)

    def _proposals(self, image: Tensor, inside: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Proposed boxes (R, 4), and the probability that each contains an object (R,)."""
        rpn, parts = self.model.rpn, []
        for level, anchors in zip(levels, self.generators, strict=True):
            (logits,), (deltas,) = rpn.head([level])
            scores, rows = best(logits.permute(0, 2, 3, 1).flatten().sigmoid(), rpn.pre_nms_top_n())
            deltas = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).reshape(-1, 4)
            boxes = clipped(rpn.box_coder.decode_single(deltas[rows], anchors(inside, level)[rows]), image)
            scores = torch.where(large(boxes, rpn.min_size) & (scores >= rpn.score_thresh), scores, OUT)
            kept = suppress(boxes[None], scores[None, None], rpn.nms_thresh).flatten()
            parts.append((boxes, torch.where(kept, scores, OUT)))
        boxes, scores = (torch.cat(part) for part in zip(*parts, strict=True))
        scores, rows = best(scores, rpn.post_nms_top_n())
        return boxes[rows], scores


def _detections(
    stage: Any, scores: Tensor, deltas: Tensor, proposals: Tensor, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The best boxes of all classes, from scores (K - 1, R) and regressions (R, 4 K)."""
    classes, count = len(scores), len(proposals)
    boxes = clipped(stage.box_coder.decode_single(deltas, proposals).view(-1, 4), image).view(count, -1, 4)
    boxes = boxes[:, 1:].transpose(0, 1)
    scores = torch.where((scores > stage.score_thresh) & large(boxes, _LEAST), scores, OUT)
    kept = suppress(boxes, scores.unsqueeze(1), stage.nms_thresh).view(classes, count)
    scores, places = best(torch.where(kept, scores, OUT).flatten(), stage.detections_per_img)
    return boxes.reshape(-1, 4)[places], scores, places // count


def _predict(stage: Any, maps: dict[str, Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
    return stage.box_predictor(stage.box_head(_pooled(stage.box_roi_pool, maps, boxes)))


def _masks(stage: Any, maps: dict[str, Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
    logits = stage.mask_predictor(stage.mask_head(_pooled(stage.mask_roi_pool, maps, boxes)))
    return logits.gather(1, labels.view(-1, 1, 1, 1).expand(-1, 1, *logits.shape[2:])).sigmoid()


def _pooled(pool: Any, maps: dict[str, Tensor], boxes: Tensor) -> Tensor:
    return pool_boxes(
        [maps[name] for name in pool.featmap_names], boxes, pool.map_levels([boxes]), pool.scales,
        pool.output_size[0], pool.sampling_ratio, pool.aligned,
    )  # fmt: skip
