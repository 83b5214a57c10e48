"""The heads of Cascade R-CNN and Cascade Mask R-CNN (arXiv 1906.09756), built from torchvision's.

Shapes: B images, R boxes over all images, K classes including background.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_inference, maskrcnn_loss
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image

from atmnet.heads.sampler import PositionSampler

#: For each stage: minimum IoU of an object's box, weights of box regression, weight of the losses.
STAGES = (
    (0.5, (10.0, 10.0, 5.0, 5.0), 1.0),
    (0.6, (20.0, 20.0, 10.0, 10.0), 0.5),
    (0.7, (30.0, 30.0, 15.0, 15.0), 0.25),
)


class CascadeRoIHeads(nn.Module):
    """Three stages, each trained on the boxes that the previous one refined and at a higher IoU; a replacement for
    torchvision's ``RoIHeads``.

    Box regression is class-agnostic. In evaluation, boxes are those of the last stage, scores are the mean over the
    stages, and masks are the mean over the masks that all stages predict for the final boxes.

    Args:
        num_classes: Number of classes K, including background.
        in_channels: Channels of the pyramid.
        box_roi_pool: Pools the features of boxes from the pyramid.
        mask_roi_pool: Pools the features for masks; None for boxes only.
        representation_size: Hidden units of the box heads.
        mask_channels: Channels of the mask heads.
        batch_size_per_image: Number of boxes of an image that a stage is trained on.
        positive_fraction: Maximum fraction of objects among these boxes.
        score_thresh: Minimum score of a detection.
        nms_thresh: A detection is dropped if its IoU with a better one of the same class exceeds this value.
        detections_per_img: Maximum number of detections of an image.

    Shape:
        As in torchvision: dict of maps, proposals (R_i, 4) and size (H, W) of each image, targets in training ->
        detections in evaluation; in training the losses ``loss_classifier_s``, ``loss_box_reg_s``, ``loss_mask_s`` of
        the stages s = 1, 2, 3, weighted by 1, 1/2, 1/4.

    Examples:
        >>> from atmnet.heads import CascadeRoIHeads, RoIAlign
        >>> heads = CascadeRoIHeads(3, 8, RoIAlign([4], 7), representation_size=16).eval()
        >>> maps, proposals = {"0": torch.randn(1, 8, 16, 16)}, [torch.tensor([[4.0, 4.0, 40.0, 30.0]])]
        >>> detections, losses = heads(maps, proposals, [(64, 64)])
        >>> sorted(detections[0]), losses
        (['boxes', 'labels', 'scores'], {})
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        box_roi_pool: MultiScaleRoIAlign,
        mask_roi_pool: MultiScaleRoIAlign | None = None,
        *,
        representation_size: int = 1024,
        mask_channels: int = 256,
        batch_size_per_image: int = 512,
        positive_fraction: float = 0.25,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 100,
    ) -> None:
        super().__init__()
        cells = in_channels * box_roi_pool.output_size[0] * box_roi_pool.output_size[1]
        stages: list[nn.Module] = []
        for s, (iou, weights, _) in enumerate(STAGES, 1):
            masks = {}
            if mask_roi_pool is not None:
                masks = {
                    "mask_roi_pool": mask_roi_pool,
                    "mask_head": MaskRCNNHeads(in_channels, [mask_channels] * 4, 1),
                    "mask_predictor": MaskRCNNPredictor(mask_channels, mask_channels, num_classes),
                }
            stage = RoIHeads(
                box_roi_pool, TwoMLPHead(cells, representation_size), _Predictor(representation_size, num_classes),
                iou, iou, batch_size_per_image, positive_fraction, weights,
                score_thresh, nms_thresh, detections_per_img, **masks,
            )  # fmt: skip
            stage.fg_bg_sampler = PositionSampler(
                batch_size_per_image,
                positive_fraction,
                per_position=(f"loss_classifier_{s}", f"loss_box_reg_{s}"),
                per_positive=(f"loss_mask_{s}",) if masks else (),
                stream=s,
            )
            stages.append(stage)
        self.stages = nn.ModuleList(stages)

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        if self.training:
            assert targets is not None
            return [], self._losses(features, proposals, image_shapes, targets)
        return self._detections(features, proposals, image_shapes), {}

    def _losses(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        losses = {}
        for s, (stage, (_, _, weight)) in enumerate(zip(self._stages(), STAGES, strict=True), 1):
            boxes, matches, labels, regression = stage.select_training_samples(boxes, targets)
            logits, deltas = _predict(stage, features, boxes, shapes)
            classifier, box_reg = fastrcnn_loss(logits, deltas, labels, regression)
            losses[f"loss_classifier_{s}"] = weight * classifier
            losses[f"loss_box_reg_{s}"] = weight * box_reg
            if stage.has_mask():
                objects = [(label > 0).nonzero().squeeze(1) for label in labels]
                object_boxes = [image_boxes[index] for image_boxes, index in zip(boxes, objects, strict=True)]
                losses[f"loss_mask_{s}"] = weight * maskrcnn_loss(
                    _mask_logits(stage, features, object_boxes, shapes),
                    object_boxes,
                    [target["masks"] for target in targets],
                    [target["labels"] for target in targets],
                    [match[index] for match, index in zip(matches, objects, strict=True)],
                )
            boxes = _refine(stage, deltas, boxes, shapes)
        return losses

    def _detections(
        self, features: dict[str, Tensor], boxes: list[Tensor], shapes: list[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        stages = self._stages()
        logits, deltas = _predict(stages[0], features, boxes, shapes)
        scores = [logits.softmax(-1)]
        for previous, stage in pairwise(stages):
            boxes = _refine(previous, deltas, boxes, shapes)
            logits, deltas = _predict(stage, features, boxes, shapes)
            scores.append(logits.softmax(-1))
        # postprocess_detections takes logits. The softmax of the logarithm of a distribution is that distribution.
        mean = torch.stack(scores).mean(0).log()
        detections = [
            {"boxes": box, "scores": score, "labels": label}
            for box, score, label in zip(*stages[-1].postprocess_detections(mean, deltas, boxes, shapes), strict=True)
        ]
        if stages[0].has_mask():
            final, labels = [image["boxes"] for image in detections], [image["labels"] for image in detections]
            masks = [maskrcnn_inference(_mask_logits(stage, features, final, shapes), labels) for stage in stages]
            for image, *stage_masks in zip(detections, *masks, strict=True):
                image["masks"] = torch.stack(stage_masks).mean(0)
        return detections

    def _stages(self) -> list[RoIHeads]:
        return list(self.stages)


class _Predictor(FastRCNNPredictor):
    """Predicts one box for all classes: (R, C) -> logits (R, K), and deltas (R, 4 K) that repeat for each class."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = super().forward(x)
        return logits, deltas.repeat(1, logits.shape[1])


def _predict(
    stage: RoIHeads, features: dict[str, Tensor], boxes: list[Tensor], shapes: list[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    return stage.box_predictor(stage.box_head(stage.box_roi_pool(features, boxes, shapes)))


def _mask_logits(
    stage: RoIHeads, features: dict[str, Tensor], boxes: list[Tensor], shapes: list[tuple[int, int]]
) -> Tensor:
    return stage.mask_predictor(stage.mask_head(stage.mask_roi_pool(features, boxes, shapes)))


def _refine(stage: RoIHeads, deltas: Tensor, boxes: list[Tensor], shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Apply a stage's deltas to its boxes and clip them to the images. No gradient flows through the new boxes."""
    refined = stage.box_coder.decode_single(deltas[:, :4].detach(), torch.cat(boxes)).split([len(box) for box in boxes])
    return [clip_boxes_to_image(image_boxes, shape) for image_boxes, shape in zip(refined, shapes, strict=True)]
