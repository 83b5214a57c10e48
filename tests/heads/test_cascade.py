"""Cascade heads: three stages, each on what the one before made of the boxes."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.detection.roi_heads import RoIHeads

from atmnet.heads import CascadeRoIHeads, RoIAlign

STRIDES, K, C = (4, 8), 4, 8
SHAPES = [(64, 96), (50, 60)]


def heads(*, masks: bool = True) -> CascadeRoIHeads:
    return CascadeRoIHeads(
        K, C, RoIAlign(STRIDES, 7, aligned=True), RoIAlign(STRIDES, 14, aligned=True) if masks else None,
        representation_size=16, mask_channels=8, batch_size_per_image=32, score_thresh=0.0,
    )  # fmt: skip


def inputs(objects: int = 3):
    """Maps, proposals near and far from the objects, and targets; the second image is without objects."""
    maps = OrderedDict((str(i), torch.randn(2, C, 64 // s, 96 // s)) for i, s in enumerate(STRIDES))
    corners = torch.rand(objects, 2) * 30
    boxes = torch.cat([corners, corners + 10 + 20 * torch.rand(objects, 2)], 1)
    near = (boxes.repeat(8, 1) + torch.randn(8 * objects, 4)).clamp(0, 60)
    proposals = [torch.cat([near, torch.tensor([[0.0, 0, 5, 5], [50, 40, 90, 60]])]), torch.tensor([[1.0, 1, 9, 30]])]
    targets = [
        {
            "boxes": boxes,
            "labels": 1 + torch.arange(objects) % (K - 1),
            "masks": torch.ones(objects, *SHAPES[0]).byte(),
        },
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "masks": torch.zeros(0, *SHAPES[1]).byte()},
    ]
    return maps, proposals, targets


def start(cascade: Any) -> None:
    for stage in cascade.stages:
        stage.fg_bg_sampler.start([11, 12])


@pytest.mark.parametrize("masks", [True, False])
def test_losses_and_counts(masks):
    cascade, (maps, proposals, targets) = heads(masks=masks), inputs()
    start(cascade)
    found, losses = cascade(maps, proposals, SHAPES, targets)
    kinds = ["loss_classifier", "loss_box_reg", *(["loss_mask"] if masks else [])]
    assert found == []
    assert list(losses) == [f"{kind}_{s}" for s in (1, 2, 3) for kind in kinds]
    counts = {name: n for stage in cascade.stages for name, n in stage.fg_bg_sampler.counts().items()}
    assert counts.keys() == losses.keys()
    assert counts["loss_classifier_1"] > (counts["loss_mask_1"] if masks else 0) > 0 or not masks
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in cascade.parameters())


def test_first_stage_is_a_mask_rcnn_and_later_ones_count_less():
    """Boxes that stay where they are give each stage the same work; its own RoIHeads do that alone."""
    cascade, (maps, proposals, targets) = heads(), inputs()
    for stage in cascade.stages:
        nn.init.zeros_(stage.box_predictor.bbox_pred.weight)
        nn.init.zeros_(stage.box_predictor.bbox_pred.bias)
    start(cascade)
    _, losses = cascade(maps, proposals, SHAPES, targets)
    start(cascade)
    boxes = proposals
    for s, (stage, weight) in enumerate(zip(cascade.stages, (1, 0.5, 0.25), strict=True), 1):
        seen = []
        select = stage.select_training_samples
        stage.select_training_samples = lambda *a, select=select, seen=seen: seen.append(select(*a)) or seen[-1]
        _, alone = RoIHeads.forward(stage, maps, [box.clone() for box in boxes], SHAPES, targets)
        for name, value in alone.items():
            torch.testing.assert_close(losses[f"{name}_{s}"], weight * value)
        boxes = seen[0][0]


def test_thresholds_and_regression_weights():
    for stage, iou, weight in zip(heads().stages, (0.5, 0.6, 0.7), (10, 20, 30), strict=True):
        assert stage.proposal_matcher.high_threshold == stage.proposal_matcher.low_threshold == iou
        assert stage.box_coder.weights == (weight, weight, weight / 2, weight / 2)


def test_boxes_pass_through_all_stages():
    """Each stage moves boxes to the right by 2, 1 and 2/3 tenths of their width, as its weights say."""
    cascade, (maps, _, _) = heads().eval(), inputs()
    for stage in cascade.stages:
        nn.init.zeros_(stage.box_predictor.bbox_pred.weight)
        stage.box_predictor.bbox_pred.bias.data = torch.tensor([2.0, 0, 0, 0])
        stage.nms_thresh = 1.0
    lone = [torch.tensor([[10.0, 10, 30, 40]]), torch.tensor([[50.0, 20, 60, 30]])]
    found, losses = cascade(maps, lone, SHAPES)
    assert losses == {}
    shift = 20 * (0.2 + 0.1 + 1 / 15)
    expected = torch.tensor([10.0 + shift, 10, 30 + shift, 40]).expand(K - 1, 4)
    torch.testing.assert_close(found[0]["boxes"], expected)
    # Clipped at the second image's border after each stage, hence narrower and moved by less.
    assert (found[1]["boxes"][:, 2] == 60).all()


def test_scores_and_masks_are_means_over_the_stages():
    cascade, (maps, proposals, _) = heads().eval(), inputs()
    for stage in cascade.stages:
        nn.init.zeros_(stage.box_predictor.bbox_pred.weight)
        nn.init.zeros_(stage.box_predictor.bbox_pred.bias)
        nn.init.normal_(stage.box_predictor.cls_score.weight)
    with torch.no_grad():
        found, _ = cascade(maps, proposals, SHAPES)
        scores = 0
        for stage in cascade.stages:
            logits, _ = stage.box_predictor(stage.box_head(stage.box_roi_pool(maps, proposals, SHAPES)))
            scores = scores + logits.softmax(-1) / 3
        best = scores[: len(proposals[0]), 1:].max()
        torch.testing.assert_close(found[0]["scores"].max(), best)
        masks = 0
        for stage in cascade.stages:
            logits = stage.mask_predictor(
                stage.mask_head(stage.mask_roi_pool(maps, [r["boxes"] for r in found], SHAPES))
            )
            masks = masks + logits.sigmoid() / 3
    n = len(found[0]["labels"])
    torch.testing.assert_close(found[0]["masks"][:, 0], masks[torch.arange(n), found[0]["labels"]])
    assert set(found[0]["labels"].tolist()) <= {1, 2, 3}


def test_boxes_are_shared_by_all_classes():
    for stage in heads().stages:
        assert stage.box_predictor.bbox_pred.out_features == 4
        _, deltas = stage.box_predictor(torch.randn(5, 16))
        assert deltas.view(5, K, 4).equal(deltas.view(5, K, 4)[:, :1].expand(5, K, 4))


def test_nothing_to_find():
    cascade, (maps, proposals, targets) = heads(), inputs()
    empty = [targets[1], targets[1] | {"masks": torch.zeros(0, *SHAPES[1]).byte()}]
    _, losses = cascade(maps, proposals, SHAPES, empty)
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["loss_mask_1"] == 0
    found, _ = cascade.eval()(maps, [torch.zeros(0, 4)] * 2, SHAPES)
    assert [result["masks"].shape for result in found] == [(0, 1, 28, 28)] * 2
