"""Sizes of detectors and segmenters next to published ones: ``python -m benchmarks.dense_size``.

Multiply-accumulates are those of one image with the plain form of ATM, plus 5 for each element of a LayerNorm, as in
the published counts. Sampling, upsampling and other norms are not counted. Nothing is timed.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FeaturePyramidNetwork

from atmnet.layers import ATM
from atmnet.necks import ATMFPN
from atmnet.tasks.detector import assemble_detector
from atmnet.tasks.segmenter import build_segmenter
from atmnet_cli.options import ModelOptions
from benchmarks import script
from benchmarks.markdown import grid
from benchmarks.script import Settings

#: By variant and head: published parameters in millions, published GFLOPs, and the image (H, W) that they are for.
SEGMENTERS: dict[str, dict[Any, tuple[float, float, tuple[int, int]]]] = {
    "xtiny": {"upernet": (45.3, 889.5, (512, 2048)), "semantic_fpn": (19.1, 33.1, (512, 512))},
    "tiny": {"upernet": (57.1, 926.9, (512, 2048)), "semantic_fpn": (30.9, 42.4, (512, 512))},
    "small": {"upernet": (68.6, 988.3, (512, 2048)), "semantic_fpn": (42.4, 57.8, (512, 512))},
    "base": {"upernet": (82.1, 1055.9, (512, 2048)), "semantic_fpn": (55.9, 74.7, (512, 512))},
    "large": {"upernet": (107.9, 1105.6, (512, 2048)), "semantic_fpn": (79.8, 86.6, (512, 512))},
}
#: mmdetection's parameters in millions, for ResNet-50 with FPN and 80 classes.
DETECTORS = {"mask_rcnn": 44.4, "cascade_mask_rcnn": 77.3}
#: Channels of the maps of xtiny to base.
DIMS = [64, 128, 320, 512]


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each neck, segmenter and detector."""
    maps = OrderedDict((str(i), torch.empty(1, dim, 128 >> i, 128 >> i, device="meta")) for i, dim in enumerate(DIMS))
    necks = {
        "FPN": FeaturePyramidNetwork(DIMS, 256),
        "ATMFPN": ATMFPN(DIMS, 256),
        "ATMFPN, aligned": ATMFPN(DIMS, 256, align=True),
    }
    for name, neck in necks.items():
        yield {"name": f"{name} of 256 channels", "size": [512, 512], **_cost(neck, maps)}
    for variant, heads in list(SEGMENTERS.items())[: 1 if settings.quick else None]:
        for head, (parameters, gflops, size) in heads.items():
            options = ModelOptions(f"atmnet_{variant}", head=head, channels=512 if head == "upernet" else 256)
            with torch.device("meta"):
                model = build_segmenter(options, 150)
            image = torch.empty(1, 3, *size, device="meta")
            published = {"published_parameters": parameters, "published_gmacs": gflops}
            yield {"name": f"{head} on {variant}", "size": list(size), **_cost(model, image), **published}
    for head, parameters in DETECTORS.items():
        with torch.device("meta"):
            backbone = resnet_fpn_backbone(
                backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
            )
            detector = assemble_detector(backbone, head, 80, strides=(4, 8, 16, 32))
        yield {"name": f"{head} on ResNet-50", "parameters": _millions(detector), "published_parameters": parameters}


def _cost(model: nn.Module, x: Any) -> dict[str, float]:
    model.to("meta").eval()
    for module in model.modules():
        if isinstance(module, ATM):
            module.fold = False
    norms = {torch.ops.aten.native_layer_norm: lambda shape, *_, **__: 2 * 5 * math.prod(shape)}
    with FlopCounterMode(display=False, custom_mapping=norms) as counter, torch.no_grad():
        model(x)
    return {
        "parameters": _millions(model),
        "gmacs": counter.get_total_flops() / 2e9,
    }  # the counter counts a multiply-add as two


def _millions(model: nn.Module) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


def table(record: dict[str, Any]) -> str:
    """A row for each neck, segmenter and detector."""
    rows = [
        [
            result["name"],
            f"{result['parameters']:.2f}",
            _figure(result, "published_parameters"),
            " x ".join(map(str, result.get("size", []))),
            _figure(result, "gmacs"),
            _figure(result, "published_gmacs"),
        ]
        for result in record["results"]
    ]
    head = ["", "parameters (M)", "published", "image", "multiply-accumulates (10^9)", "published"]
    return f"{grid(head, rows)}\n\n*Published: from the paper; for detectors, from mmdetection.*"


def _figure(result: dict[str, Any], key: str) -> str:
    return f"{result[key]:.1f}" if key in result else ""


if __name__ == "__main__":
    script.run("dense_size", __doc__, measure, table)
