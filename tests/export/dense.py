"""Small segmenters and detectors with spread offsets, whose heads find something."""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from atmnet.tasks.dense import DenseNetwork, build_dense
from atmnet_cli.options import DenseOptions, ModelOptions

CLASSES = ["cup", "key", "pen", "tin", "map"]


def network(head: Any, neck: Any = "fpn", name: str = "atmnet_nano", side: int = 64, **arguments: Any) -> DenseNetwork:
    """A network for five classes, in evaluation mode, that answers differently everywhere.

    Args:
        head: The head.
        neck: The neck.
        name: The backbone.
        side: Side of the images, in pixels.
        arguments: Further arguments of the head.
    """
    torch.manual_seed(0)
    small = {"semantic_fpn": {"channels": 32}, "upernet": {"aux_channels": 32}}
    if head.endswith("rcnn"):
        small[head] = {"representation_size": 64}
    if head.endswith("mask_rcnn"):
        small[head]["mask_channels"] = 32
    options = ModelOptions(
        name=name, head=head, neck=neck, channels=64, head_kwargs={**small.get(head, {}), **arguments},
    )  # fmt: skip
    dense = build_dense(options, DenseOptions(img_sizes=[side], max_img_size=2 * side, crop_size=side), CLASSES)
    for key, parameter in dense.model.named_parameters():
        if key.endswith("offset.proj.weight"):
            nn.init.normal_(parameter, std=3 / parameter.shape[1] ** 0.5)
        elif "_head.conv." in key and parameter.dim() > 1:  # as torchvision initialises them, all scores are alike
            nn.init.kaiming_normal_(parameter)
        elif key.rpartition(".")[0].endswith(_LAST):
            if key.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                std = 0.3 if "box" in key or "bbox" in key else 2.0
                nn.init.normal_(parameter, std=std / parameter[0].numel() ** 0.5)
    dense.model.eval()
    return dense


def save(dense: DenseNetwork, folder: Path) -> Path:
    """Write a checkpoint folder of the network; returns the folder."""
    dense.write_config(folder / "config.json")
    safetensors.torch.save_file(dense.model.state_dict(), folder / "model.safetensors")
    return folder


#: The last layers of the heads.
_LAST = ("classifier", "classifier.1", "cls_logits", "bbox_reg", "bbox_ctrness", "rpn.head.bbox_pred", "cls_score",
         "box_predictor.bbox_pred", "mask_fcn_logits")  # fmt: skip
