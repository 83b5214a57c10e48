"""What surrounds the network in a file: how pixels come in, the precision inside, and the metadata.

Shapes: B images, C colour channels, H x W pixels, K classes.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

import atmnet
from atmnet.export.plain.layers import PredictTaps
from atmnet.export.settings import Pixels
from atmnet.export.subject import DenseConfig
from atmnet.files import to_json
from atmnet.models.create import DataConfig
from atmnet.tasks import Classifier, Network
from atmnet.tasks.configuration import TEMPERATURE
from atmnet_cli.printing import printable
from atmnet_runtime import KEYS


class Framed(nn.Module):
    """A network between the pixels that a file takes and float32 outputs.

    Args:
        model: Normalised images (B, C, H, W) -> one output or several.
        config: Mean and standard deviation.
        pixels: What comes in; all but 'normalised' are normalised here.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, config: DataConfig | DenseConfig, pixels: Pixels) -> None:
        super().__init__()
        self.model, self.pixels = model, pixels
        self.register_buffer("mean", torch.tensor(config["mean"]).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(config["std"]).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.pixels == "uint8":
            image = image.float() / 255
        if self.pixels != "normalised":
            image = (image - self.mean) / self.std
        out = self.model(image.to(next(self.model.parameters()).dtype))
        return tree_map_only(Tensor, lambda x: x.float() if x.is_floating_point() else x, out)


def halved(model: nn.Module) -> nn.Module:
    """Convert an exportable model to float16 in place, except for positions, which stay float32."""
    model.half()
    for module in model.modules():
        if isinstance(module, PredictTaps):
            module.float()
    return model


def metadata(network: Network, config: DataConfig | DenseConfig, pixels: Pixels) -> dict[str, str]:
    """The metadata of a file, as strings of JSON; ``atmnet_runtime`` reads them."""
    values = {
        **{key: value for key, value in config.items() if key in KEYS[network.kind]},
        "task": network.kind, "classes": network.classes, "pixels": pixels, "range": network.range,
        **({TEMPERATURE: cast(Classifier, network).temperature} if TEMPERATURE in KEYS[network.kind] else {}),
        "architecture": network.name, "atmnet": atmnet.__version__,
    }  # fmt: skip
    return {key: printable(to_json(value, ensure_ascii=False)) for key, value in values.items()}
