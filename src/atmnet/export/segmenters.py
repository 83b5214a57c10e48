"""Segmenters as files.

Shapes: B images, H x W pixels, K classes.
"""

from typing import cast

import torch
from PIL import Image
from torch import Tensor

from atmnet.data.dense_transforms import LONGEST, SegmentationEval
from atmnet.export.dense_pictures import Normalisation, dense_config, preparation
from atmnet.export.settings import ExportSettings
from atmnet.export.subject import Subject, unchanged
from atmnet.export.verify import Comparison, farthest, same_classes
from atmnet.tasks import DenseNetwork, Network

_COMPARISON = Comparison(farthest, same_classes, "class at {share} of the pixels of {count} pictures")


def describe_segmenter(network: Network, settings: ExportSettings) -> Subject:
    """What is exported of a segmenter: images (B, 3, H, W) -> ``logits`` (B, K, H, W)."""
    segmenter = cast(DenseNetwork, network)
    side = settings.img_size or segmenter.dense.crop_size
    config = dense_config(segmenter, side, side, LONGEST * side, raw=False)

    def resize(image: Image.Image, mean: Normalisation, std: Normalisation) -> Tensor:
        return SegmentationEval(side, mean, std)(image, torch.empty(0))[0]

    outputs = {"logits": {0: "batch", 2: "height", 3: "width"}}
    prepare = preparation(resize, config, settings.pixels)
    return Subject(config, unchanged, unchanged, outputs, _COMPARISON, (2, 96, 128), prepare)
