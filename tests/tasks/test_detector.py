"""Detectors are torchvision's own, on any pyramid, and their losses can be taken over any number of processes."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from atmnet.tasks.detector import assemble_detector, build_detector, counters_of
from atmnet.tasks.heads import HEADS
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, ModelOptions

K = 3
every_head = pytest.mark.parametrize("head", [name for name, head in HEADS.items() if head.kind == "detection"])


def small(head: Any, name: str = "atmnet_nano", **kwargs: Any) -> nn.Module:
    given = kwargs.pop("head_kwargs", {})
    if head not in ("retinanet", "retinanet_v2", "fcos"):
        few = {"rpn_post_nms_top_n_train": 50, "rpn_post_nms_top_n_test": 50, "box_detections_per_img": 5}
        masks = {"mask_channels": 16} if HEADS[head].masks else {}
        given = {"representation_size": 32, "box_batch_size_per_image": 16, **few, **masks, **given}
    options = ModelOptions(name=name, head=head, channels=64, head_kwargs=given, **kwargs)
    return build_detector(options, DenseOptions(img_sizes=[96, 64], max_img_size=160), K)


def target(head: str, boxes: list[list[float]], height: int, width: int) -> dict[str, torch.Tensor]:
    """With labels as torchvision counts them, and masks that fill their boxes."""
    found = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        "labels": HEADS[head].first_label + torch.arange(len(boxes)) % K,
    }
    if HEADS[head].masks:
        found["masks"] = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
        for mask, (x0, y0, x1, y1) in zip(found["masks"], boxes, strict=True):
            mask[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = 1
    return found


#: Boxes and size (H, W) of images that are hard to learn from.
HARD = {
    "without objects": ([], 64, 64),
    "of one pixel": ([[20, 20, 21, 21]], 64, 64),
    "at the border": ([[0, 0, 64, 64], [50, 40, 64, 64]], 64, 64),
    "31x400": ([[100, 3, 160, 30], [0, 0, 400, 31]], 31, 400),
    "smaller than a token of the coarsest level": ([[2, 2, 9, 12]], 17, 20),
}


@every_head
@pytest.mark.parametrize(
    "which", [[name] for name in HARD] + [list(HARD)], ids=lambda names: names[-1] if len(names) == 1 else "all"
)
def test_hard_images(head, which):
    model = small(head).train()
    images, targets = [], []
    for boxes, height, width in map(HARD.__getitem__, which):
        images.append(torch.rand(3, height, width))
        targets.append(target(head, boxes, height, width))
    losses = model(images, targets)
    total = sum(losses.values())
    assert total.isfinite()
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    found = model.eval()(images)
    for result, image in zip(found, images, strict=True):
        assert result["boxes"].shape == (len(result["scores"]), 4)
        if HEADS[head].masks:
            assert result["masks"].shape[-2:] == image.shape[-2:]


def torchvisions_pyramid(head: str) -> Any:
    extra = {
        "retinanet": LastLevelP6P7(256, 256),
        "retinanet_v2": LastLevelP6P7(2048, 256),
        "fcos": LastLevelP6P7(256, 256),
    }
    return resnet_fpn_backbone(
        backbone_name="resnet50",
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=[2, 3, 4] if head in extra else None,
        extra_blocks=extra.get(head),
    )


REFERENCES = {
    "retinanet": detection.retinanet_resnet50_fpn,
    "retinanet_v2": detection.retinanet_resnet50_fpn_v2,
    "fcos": detection.fcos_resnet50_fpn,
    "faster_rcnn": detection.fasterrcnn_resnet50_fpn,
    "mask_rcnn": detection.maskrcnn_resnet50_fpn,
}


@pytest.mark.parametrize("head", REFERENCES)
def test_is_torchvisions(head):
    """Same state dict, same outputs, and with the same random numbers the same losses."""
    one_stage = HEADS[head].stages == 1
    thresholds = {
        ("" if one_stage else "box_") + "score_thresh": 0.0,
        ("" if one_stage else "box_") + "detections_per_img": 9,
    }
    theirs = REFERENCES[head](
        weights=None, weights_backbone=None, num_classes=5, min_size=96, max_size=140, _skip_resize=True, **thresholds
    )
    ours = assemble_detector(
        torchvisions_pyramid(head),
        head,
        5 - HEADS[head].first_label,
        strides=(8, 16, 32) if one_stage else (4, 8, 16, 32),
        img_size=96,
        max_img_size=140,
        head_kwargs=thresholds,
    )
    weights = theirs.state_dict()
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == [
        (k, v.shape) for k, v in weights.items()
    ]
    ours.load_state_dict(weights)

    images = [torch.rand(3, 90, 110), torch.rand(3, 80, 130)]
    targets = [target(head, [[10, 10, 60, 70], [30, 5, 80, 40]], 90, 110), target(head, [], 80, 130)]
    theirs.eval(), ours.eval()
    with torch.no_grad():
        for found, expected in zip(ours(images), theirs(images), strict=True):
            assert found.keys() == expected.keys()
            assert len(found["boxes"]) == 9
            assert all(found[key].equal(expected[key]) for key in found)
    theirs.train(), ours.train()
    torch.manual_seed(0)
    expected = theirs(images, targets)
    torch.manual_seed(0)
    assert ours(images, targets) == expected


@pytest.mark.parametrize(("head", "millions"), [("mask_rcnn", 44.40), ("cascade_mask_rcnn", 77.33)])
def test_totals(head, millions):
    """For 80 classes on torchvision's ResNet-50 with FPN. mmdetection has 44.4M and 77.3M."""
    with torch.device("meta"):
        model = assemble_detector(torchvisions_pyramid(head), head, 80, strides=(4, 8, 16, 32))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@every_head
def test_losses_over_processes(head):
    """Images apart, each loss weighed by what it was a mean over, give the losses of images together."""
    model = small(head).train()
    images = [torch.rand(3, 64, 96) for _ in range(3)]
    boxes = [[[5, 5, 40, 45], [30, 20, 90, 60]], [], [[8, 8, 24, 24]]]
    targets = [target(head, b, 64, 96) for b in boxes]
    counters = counters_of(model)

    def run(indices: list[int]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        for counter in counters:
            counter.start([100 + i for i in indices])
        losses = model([images[i] for i in indices], [targets[i] for i in indices])
        return losses, {name: n for counter in counters for name, n in counter.counts().items()}

    with torch.no_grad():
        together, counts = run([0, 1, 2])
        parts = [run([0, 1]), run([2])]
    assert counts.keys() == (set() if head.startswith("retinanet") else together.keys())
    for name, loss in together.items():
        shares = [(count.get(name, n), part[name]) for (part, count), n in zip(parts, (2, 1), strict=True)]
        total = sum(n for n, _ in shares)
        assert name not in counts or total == counts[name]
        assert loss > 0
        torch.testing.assert_close(loss, sum(n * part for n, part in shares) / total, rtol=1e-4, atol=1e-6)


def test_counters_draw_by_seed():
    model = small("mask_rcnn").train()
    images, targets = [torch.rand(3, 64, 64)], [target("mask_rcnn", [[5, 5, 40, 45]], 64, 64)]

    def loss(seed: int) -> dict[str, torch.Tensor]:
        for counter in counters_of(model):
            counter.start([seed])
        with torch.no_grad():
            return model(images, targets)

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)


@every_head
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("test_vit", {"kwargs": {"img_size": 64, "dynamic_img_size": True}}), ("test_resnet", {"neck": "atmfpn_aligned"})],
)
def test_other_backbones(head, name, kwargs):
    model = small(head, name, **kwargs).train()
    losses = model([torch.rand(3, 64, 96)], [target(head, [[5, 5, 40, 45]], 64, 96)])
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.backbone.body is not None


@every_head
def test_sizes_of_images(head):
    """As they come in training; resized in evaluation, and boxes given for the original."""
    model = small(head)
    seen = []
    model.backbone.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[-2:])))
    model.train()([torch.rand(3, 40, 70)], [target(head, [[5, 5, 30, 35]], 40, 70)])
    model.eval()([torch.rand(3, 40, 70)])
    assert seen == [(64, 96), (64, 128)]  # padded to multiples of 32; 64 is the last of the sides
    assert model.transform.image_mean == list(model.backbone.config["mean"])


@every_head
def test_boxes_are_not_rounded_under_autocast(head):
    every = {"score_thresh": 0.0} if (HEADS[head].stages == 1) else {"box_score_thresh": 0.0}
    model, image = small(head, head_kwargs=every), torch.rand(3, 64, 96)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model.train()([image], [target(head, [[5, 5, 40, 45]], 64, 96)])
        assert all(loss.isfinite() for loss in losses.values())
        (found,) = model.eval()([image])
    assert found["boxes"].dtype == torch.float32
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert not found["boxes"].bfloat16().float().equal(found["boxes"])


@pytest.mark.parametrize(
    ("head", "sizes", "expected"),
    [
        ("retinanet", None, [32, 64, 128, 256, 512]),
        ("fcos", None, [8, 16, 32, 64, 128]),
        ("faster_rcnn", None, [32, 64, 128, 256, 512]),
        ("faster_rcnn", [8, 16, 32, 64, 128], [8, 16, 32, 64, 128]),
        ("retinanet", [10, 20, 40, 80, 160], [10, 20, 40, 80, 160]),
    ],
)
def test_anchor_sizes(head, sizes, expected):
    model = small(head, head_kwargs={"anchor_sizes": sizes} if sizes else {})
    generator = model.rpn.anchor_generator if head == "faster_rcnn" else model.anchor_generator
    assert [level[0] for level in generator.sizes] == expected


def test_arguments_reach_the_heads():
    given = {"rpn_batch_size_per_image": 7, "box_nms_thresh": 0.3, "mask_channels": 24, "box_detections_per_img": 4}
    model = small("cascade_mask_rcnn", head_kwargs=given)
    assert model.rpn.fg_bg_sampler.batch_size_per_image == 7
    for stage in model.roi_heads.stages:
        assert (stage.nms_thresh, stage.detections_per_img, stage.mask_head[0][0].out_channels) == (0.3, 4, 24)
        assert stage.fg_bg_sampler.batch_size_per_image == 16
        assert stage.box_head.fc6.out_features == 32


@pytest.mark.parametrize(
    ("head", "given", "message"),
    [
        ("retinanet", {"score_tresh": 0.1}, "retinanet has no score_tresh; it takes .*score_thresh"),
        ("retinanet", {"representation_size": 3}, "retinanet has no representation_size"),
        ("faster_rcnn", {"mask_channels": 3}, "faster_rcnn has no mask_channels"),
        ("cascade_mask_rcnn", {"box_fg_iou_thresh": 0.5}, "cascade_mask_rcnn has no box_fg_iou_thresh"),
        ("fcos", {"min_size": 3}, "fcos has no min_size"),
        ("mask_rcnn", {"anchor_sizes": [8, 16]}, r"anchor_sizes: got 2, expected 5, .* strides \[4, 8, 16, 32, 64\]"),
        ("mask_rcnn", {"representation_size": "big"}, "mask_rcnn: "),
    ],
)
def test_wrong_arguments(head, given, message):
    with pytest.raises(UserError, match=rf"^model.head_kwargs: {message}") as caught:
        small(head, head_kwargs=given)
    assert "\n" not in str(caught.value)


def test_unknown_head_and_channels_that_do_not_group():
    with pytest.raises(UserError, match=r"^model.head: got 'yolo', expected one of retinanet"):
        assemble_detector(nn.Identity(), "yolo", 3, strides=(8,))
    with pytest.raises(UserError, match=r"^model.head_kwargs: fcos: .*divisible"):
        build_detector(ModelOptions(name="atmnet_nano", head="fcos", channels=48), DenseOptions(), 3)
