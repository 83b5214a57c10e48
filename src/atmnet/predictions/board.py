"""Pictures of a training run for TensorBoard: a batch as the network gets it, and answers to fixed images.

Shapes: B images, K classes, C channels, H x W pixels.
"""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from atmnet.data import Sample, Split, UnreadableImage, image_mode, to_device
from atmnet.data.targets import DetectionTarget
from atmnet.engine.board import Draw
from atmnet.predictions.detections import draw_detections
from atmnet.predictions.kinds import KINDS
from atmnet.predictions.label_maps import draw_label_map
from atmnet.predictions.sheet import contact_sheet
from atmnet.tasks import Kind, Task
from atmnet_cli.options import PredictOptions

#: Images on a sheet, and the side in pixels of each.
_IMAGES, _TILE = 8, 240
#: Classes of a mixed image that are named, and the smallest share of one.
_NAMES, _MIN_SHARE = 2, 0.1

_Tile = tuple[Image.Image, list[str]]


def draw_batch(task: Task, images: Any, targets: Any) -> Image.Image:
    """The first images of a batch with their targets.

    Args:
        task: The task.
        images, targets: A batch as :meth:`Task.loss` takes it.
    """
    network = task.network
    tiles = []
    for image, target in zip(images[:_IMAGES], targets[:_IMAGES], strict=True):
        if network.kind != "detection":  # a detector normalises inside
            mean, std = (torch.tensor(network.config[key]).view(-1, 1, 1) for key in ("mean", "std"))
            image = image * std + mean
        tiles.append(_WITH_TARGET[network.kind](to_pil_image(image.clamp(0, 1)), target, network.classes))
    return contact_sheet(tiles, tile=_TILE)


@torch.inference_mode()
def draw_answers(task: Task, model: nn.Module, split: Split, device: torch.device) -> Image.Image:
    """Images in equal distances in a split with the answers of ``model``, which is on ``device``.

    Args:
        task: The task.
        model: The weights to use, in any mode, which is kept.
        split: The validation split.
        device: The model's device.
    """
    network, transform = task.network, task.eval_transform()
    mode, kind = image_mode(network.config), KINDS[network.kind]
    options = PredictOptions(model="", images=[])
    count = min(_IMAGES, len(split))
    tiles = []
    was_training = model.training
    model.eval()
    for index in [len(split) * i // count for i in range(count)]:
        try:
            image, target = split.load(index, mode)
        except UnreadableImage:
            continue
        batch = task.eval_collate([Sample(*transform(image, target), [])])
        output = task.outputs(model, to_device(batch.images, device), to_device(batch.targets, device))[0]
        answer = kind.answer(image, output, network.classes, options)
        tiles.append((answer.draw(_TILE), [*answer.captions, split.name(index)]))
    model.train(was_training)
    return contact_sheet(tiles, tile=_TILE)


def _with_labels(image: Image.Image, target: Tensor, classes: list[str]) -> _Tile:
    """An image with soft targets (K,)."""
    order = target.argsort(descending=True, stable=True)[:_NAMES].tolist()
    return image, [f"{100 * target[k]:.0f} % {classes[k]}" for k in order if target[k] >= _MIN_SHARE] or ["no class"]


def _with_objects(image: Image.Image, target: DetectionTarget, classes: list[str]) -> _Tile:
    masks = target.masks if target.masks.shape[-1] else None
    return draw_detections(image, target.boxes, target.labels, None, masks, classes, _TILE), []


def _with_label_map(image: Image.Image, target: Tensor, classes: list[str]) -> _Tile:
    return draw_label_map(image, target, classes, _TILE), []


_WITH_TARGET: dict[Kind, Callable[[Image.Image, Any, list[str]], _Tile]] = {
    "classification": _with_labels,
    "multilabel": _with_labels,
    "detection": _with_objects,
    "segmentation": _with_label_map,
}

DRAW = Draw(draw_batch, draw_answers)
