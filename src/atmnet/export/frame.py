"""What stands around the network in a file: how pixels come in, what precision is inside, what is told of it.

Shapes: B images, C colour channels, H x W pixels, K classes.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

import atmnet
from atmnet.export.plain.layers import PredictTaps
from atmnet_runtime import TASK_KEYS

#: What a file takes: floats already normalised, floats in 0..1, or bytes.
Pixels = Literal["normalised", "unit", "uint8"]


class Framed(nn.Module):
    """A network between the pixels that a file takes and float32 outputs.

    Args:
        model: Images (B, C, H, W), normalised -> logits, or several outputs.
        config: timm's data configuration: mean and std.
        pixels: What comes in; all but 'normalised' are normalised here.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, config: dict[str, Any], pixels: Pixels) -> None:
        super().__init__()
        self.model, self.pixels = model, pixels
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(config[name]).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Any:
        if self.pixels == "uint8":
            image = image.float() / 255
        if self.pixels != "normalised":
            image = (image - self.mean) / self.std
        out = self.model(image.to(next(self.model.parameters()).dtype))
        return tree_map_only(Tensor, lambda x: x.float() if x.is_floating_point() else x, out)


def halved(model: nn.Module) -> nn.Module:
    """Convert an exportable model to float16 in place, all but its positions, which stay float32."""
    model.half()
    for module in model.modules():
        if isinstance(module, PredictTaps):
            module.float()
    return model


def random_images(shape: Sequence[int], pixels: Pixels, seed: int = 0) -> Tensor:
    """Noise (B, C, H, W) of the kind that a file takes."""
    generator = torch.Generator().manual_seed(seed)
    if pixels == "uint8":
        return torch.randint(256, tuple(shape), generator=generator, dtype=torch.uint8)
    if pixels == "unit":
        return torch.rand(tuple(shape), generator=generator)
    return torch.randn(tuple(shape), generator=generator)


def architecture_of(model: nn.Module) -> str:
    """Name of a timm model, or of its class."""
    return (getattr(model, "pretrained_cfg", None) or {}).get("architecture", type(model).__name__)


def metadata(
    task: str, architecture: str, classes: list[str], config: dict[str, Any], pixels: Pixels
) -> dict[str, str]:
    """What a file says of itself, as strings of JSON: see ``atmnet_runtime``.

    Args:
        task: 'classification', 'segmentation' or 'detection'.
        architecture: Name of the network.
        classes: Names of the classes.
        config: Has, maybe besides others, what files of the task say.
        pixels: What the file takes.
    """
    found = {
        **{key: value for key, value in config.items() if key in TASK_KEYS[task]},
        "task": task, "classes": classes, "pixels": pixels, "architecture": architecture,
        "atmnet": atmnet.__version__,
    }  # fmt: skip
    return {key: json.dumps(value, ensure_ascii=False) for key, value in found.items()}
