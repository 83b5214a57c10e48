"""timm models for measurement: without weights, at any image size that they take."""

from typing import Any

import timm
import torch
from torch import nn

from atmnet.models.create import check_model_name
from atmnet_cli.errors import UserError, first_line


def build_model(name: str, img_size: int, device: torch.device | str = "cpu") -> nn.Module:
    """A timm model, initialised, for square images of ``img_size`` pixels.

    Raises:
        UserError: For an unknown model, or one that cannot be built for this size.
    """
    check_model_name(name, "models")
    config = timm.get_pretrained_cfg(name)
    fixed: dict[str, Any] = {} if config is not None and config.input_size[-1] == img_size else {"img_size": img_size}
    try:
        with torch.device(device):
            return _create(name, fixed)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(f"models: {name} cannot be built at img_size {img_size}: {first_line(error)}") from error


def _create(name: str, fixed: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=False, **fixed)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, pretrained=False)  # takes images of any size, or refuses them when called
