"""Transforms of picture and target to tensors, for detection and segmentation.

Random numbers come from PyTorch's global generator.

Shapes: C channels, H x W pixels before, h x w after, N objects.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from atmnet.data.targets import IGNORE, DetectionTarget
from atmnet_cli.options import DenseOptions

#: Crops to try until one is not mostly covered by one class.
_CROPS = 10
#: Segmentation: limit of the longer side, as a multiple of the crop's side.
LONGEST = 4


class DetectionTrain:
    """Random colours (``dense.distort``), size (``dense.img_sizes``) and flip of picture, boxes and masks.

    The picture becomes float32 (C, h, w) in 0..1. Boxes are clipped to it; objects whose box is then less than a pixel
    high or wide are left out. Areas are scaled with the picture.
    """

    def __init__(self, dense: DenseOptions) -> None:
        colours = [v2.RandomPhotometricDistort()] if dense.distort else []
        self._transform = v2.Compose([
            *colours,
            _RandomShortestSize(dense.img_sizes, dense.max_img_size),
            v2.RandomHorizontalFlip(dense.hflip),
            v2.ClampBoundingBoxes(),
            v2.ToDtype(torch.float32, scale=True),
        ])  # fmt: skip

    def __call__(self, image: Image.Image, target: DetectionTarget) -> tuple[Tensor, DetectionTarget]:
        boxes = tv_tensors.BoundingBoxes(target.boxes, format="XYXY", canvas_size=(image.height, image.width))
        # Masks that were not loaded have no pixels; as a plain tensor, they pass through unchanged.
        masks = tv_tensors.Mask(target.masks) if target.masks.shape[-1] else target.masks
        picture, boxes, masks = self._transform(tvf.to_image(image), boxes, masks)
        height, width = picture.shape[-2:]
        changed = dataclasses.replace(
            target,
            boxes=boxes.as_subclass(Tensor),
            masks=masks.as_subclass(Tensor),
            area=target.area * (height * width / (image.height * image.width)),
        )
        sizes = changed.boxes[:, 2:] - changed.boxes[:, :2]
        return picture.as_subclass(Tensor), changed.keep((sizes >= 1).all(1))


class DetectionEval:
    """Convert the picture to float32 (C, H, W) in 0..1, and leave the target unchanged."""

    def __call__(self, image: Image.Image, target: DetectionTarget) -> tuple[Tensor, DetectionTarget]:
        return _to_float(image), target


class SegmentationTrain:
    """Random size, crop, flip and colours (``dense.distort``), as mmsegmentation trains on ADE20K.

    The shorter side becomes ``dense.scale`` times ``dense.crop_size``, and the longer side at most four times that. A
    random crop is taken, up to ten times until no class covers more than ``dense.max_class_share`` of it. The picture
    becomes float32 (C, crop, crop), normalised by ``mean`` and ``std``. A smaller picture is padded with zeros, and its
    label map with :data:`~atmnet.data.targets.IGNORE`.
    """

    def __init__(self, dense: DenseOptions, mean: Sequence[float], std: Sequence[float]) -> None:
        self._dense = dense
        self._mean, self._std = list(mean), list(std)
        self._flip = v2.RandomHorizontalFlip(dense.hflip)
        self._colours = v2.RandomPhotometricDistort() if dense.distort else v2.Identity()

    def __call__(self, image: Image.Image, target: Tensor) -> tuple[Tensor, Tensor]:
        crop = self._dense.crop_size
        shorter = max(1, round(crop * torch.empty(()).uniform_(*self._dense.scale).item()))
        picture = tv_tensors.Image(tvf.resize(tvf.to_image(image), sides_after_resize(image, shorter)))
        labels = tvf.resize(tv_tensors.Mask(target[None]), list(picture.shape[-2:]))
        y0, x0 = self._choose_crop(labels[0])
        picture, labels = picture[..., y0 : y0 + crop, x0 : x0 + crop], labels[..., y0 : y0 + crop, x0 : x0 + crop]
        picture, labels = self._flip(tv_tensors.Image(picture), tv_tensors.Mask(labels))
        values = tvf.normalize(tvf.to_dtype(self._colours(picture), torch.float32, scale=True), self._mean, self._std)
        right, below = crop - picture.shape[-1], crop - picture.shape[-2]
        padding = [0, 0, right, below]
        return (
            tvf.pad(values.as_subclass(Tensor), padding, fill=0),
            tvf.pad(labels.as_subclass(Tensor), padding, fill=IGNORE)[0],
        )

    def _choose_crop(self, labels: Tensor) -> tuple[int, int]:
        """The upper left corner of a crop that is not mostly covered by one class, if one of a few tries is not."""
        crop = self._dense.crop_size
        for _ in range(_CROPS):
            y0, x0 = (int(torch.randint(max(1, side - crop + 1), ())) for side in labels.shape)
            counts = labels[y0 : y0 + crop, x0 : x0 + crop].flatten().bincount(minlength=IGNORE + 1)[:IGNORE]
            if 0 < counts.max() <= self._dense.max_class_share * counts.sum():
                break
        return y0, x0


class SegmentationEval:
    """Convert the picture to float32 (C, h, w), normalised by ``mean`` and ``std``.

    Its shorter side becomes ``crop`` and its longer side at most four times that. The label map keeps its size.
    """

    def __init__(self, crop: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self._crop = crop
        self._mean, self._std = list(mean), list(std)

    def __call__(self, image: Image.Image, target: Tensor) -> tuple[Tensor, Tensor]:
        picture = tvf.resize(tvf.to_image(image), sides_after_resize(image, self._crop))
        values = tvf.to_dtype(picture.as_subclass(Tensor), torch.float32, scale=True)
        return tvf.normalize(values, self._mean, self._std), target


def sides_after_resize(image: Image.Image, shorter: int) -> list[int]:
    """Height and width after a resize: the shorter side ``shorter``, unless the longer one exceeds four times that.

    Torchvision's own computation gives a strip of pixels no height.
    """
    short, long = sorted(image.size)
    new_short, new_long = shorter, int(shorter * long / short)
    if new_long > LONGEST * shorter:
        new_short, new_long = max(1, int(LONGEST * shorter * new_short / new_long)), LONGEST * shorter
    return [new_short, new_long] if image.height <= image.width else [new_long, new_short]


class _RandomShortestSize(v2.RandomShortestSize):
    """torchvision's, whose sides have at least a pixel."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        params: dict[str, Any] = super().make_params(flat_inputs)
        return params | {"size": tuple(max(1, side) for side in params["size"])}


def _to_float(image: Image.Image) -> Tensor:
    values: Tensor = tvf.to_dtype(tvf.to_image(image).as_subclass(Tensor), torch.float32, scale=True)
    return values
