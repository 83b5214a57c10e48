"""mmsegmentation's and mmdetection's own networks on our backbone and neck.

Both need mmcv with its compiled operators even to be imported, and that does not build against a current PyTorch; where
it is missing, this is skipped and test_mmengine.py has what can be tested.
"""

import warnings
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("mmengine")

from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData

import atmnet.integrations.mmengine  # noqa: F401 - registers

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

CLASSES, HEIGHT, WIDTH = 5, 128, 160
PIXELS = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}
CROSS_ENTROPY = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
DECODER = {
    "in_index": [0, 1, 2, 3],
    "channels": 16,
    "dropout_ratio": 0.1,
    "num_classes": CLASSES,
    "norm_cfg": {"type": "BN"},
    "align_corners": False,
    "loss_decode": CROSS_ENTROPY,
}
SEMANTIC_FPN = {
    "neck": {"type": "ATMFPN", "in_channels": [32, 64, 96, 128], "out_channels": 32, "num_outs": 4},
    "decode_head": {"type": "FPNHead", "in_channels": [32] * 4, "feature_strides": [4, 8, 16, 32], **DECODER},
}
UPERNET = {
    "decode_head": {"type": "UPerHead", "in_channels": [32, 64, 96, 128], "pool_scales": (1, 2, 3, 6), **DECODER}
}
RETINANET = {
    "type": "RetinaNet",
    "data_preprocessor": {"type": "DetDataPreprocessor", **PIXELS, "pad_size_divisor": 32},
    "backbone": {"type": "ATMNet", "name": "atmnet_nano", "out_indices": [1, 2, 3]},
    "neck": {
        "type": "ATMFPN",
        "in_channels": [64, 96, 128],
        "out_channels": 32,
        "num_outs": 5,
        "add_extra_convs": "on_input",
        "align": True,
    },
    "bbox_head": {
        "type": "RetinaHead",
        "num_classes": CLASSES,
        "in_channels": 32,
        "stacked_convs": 1,
        "feat_channels": 32,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "octave_base_scale": 4,
            "scales_per_octave": 3,
            "ratios": [0.5, 1.0, 2.0],
            "strides": [8, 16, 32, 64, 128],
        },
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder"},
        "loss_cls": {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25},
        "loss_bbox": {"type": "L1Loss"},
    },
    "train_cfg": {
        "assigner": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0},
        "sampler": {"type": "PseudoSampler"},
        "allowed_border": -1,
        "pos_weight": -1,
    },
    "test_cfg": {"nms_pre": 100, "score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 10},
}


def library(name: str) -> Any:
    """``mmseg`` or ``mmdet`` with its models, else a skip that says why."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import_module(f"{name}.models")
            return import_module(f"{name}.registry").MODELS, import_module(f"{name}.structures")
        except ImportError as error:
            pytest.skip(f"{name}.models: {error}")


def trains(model: Any, samples: list[Any]) -> None:
    images = [torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8) for _ in samples]
    data = model.data_preprocessor({"inputs": images, "data_samples": samples}, True)
    loss, _ = model.parse_losses(model.train()(data["inputs"], data["data_samples"], mode="loss"))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), name


def make(registry: Any, scope: str, config: dict[str, Any]) -> nn.Module:
    with DefaultScope.overwrite_default_scope(scope):
        model = registry.build(ConfigDict(config))
        model.init_weights()
    return model


@pytest.mark.parametrize("parts", [SEMANTIC_FPN, UPERNET], ids=["semantic_fpn", "upernet"])
def test_mmsegmentation(parts):
    registry, structures = library("mmseg")
    config = {
        "type": "EncoderDecoder",
        "data_preprocessor": {"type": "SegDataPreProcessor", **PIXELS, "size": (HEIGHT, WIDTH)},
        "backbone": {"type": "ATMNet", "name": "atmnet_nano", "drop_path": 0.1},
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
        **parts,
    }
    model: Any = make(registry, "mmseg", config)
    samples = []
    for _ in range(2):
        sample = structures.SegDataSample(metainfo={"img_shape": (HEIGHT, WIDTH), "ori_shape": (HEIGHT, WIDTH)})
        sample.gt_sem_seg = PixelData(data=torch.randint(0, CLASSES, (1, HEIGHT, WIDTH)))
        samples.append(sample)
    trains(model, samples)
    image = torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8)
    answer = model.eval().test_step({"inputs": [image], "data_samples": samples[:1]})[0]
    assert answer.pred_sem_seg.data.shape == (1, HEIGHT, WIDTH)


def test_mmdetection():
    registry, structures = library("mmdet")
    model: Any = make(registry, "mmdet", RETINANET)
    shape = (HEIGHT, WIDTH)
    samples = []
    for _ in range(2):
        sample = structures.DetDataSample(metainfo={"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0)})
        boxes = torch.tensor([[10.0, 10, 60, 70], [80, 20, 140, 100]])
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 3]))
        samples.append(sample)
    trains(model, samples)
