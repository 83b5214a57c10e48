"""Builds timm models to measure: with random weights, for a given image size."""

from typing import Any

import timm
import torch
from torch import nn

from atmnet.models.create import check_model_name
from atmnet_cli.errors import UserError, first_line


def build_model(name: str, img_size: int, device: torch.device | str = "cpu") -> nn.Module:
    """A timm model with initial weights, for square images of ``img_size`` pixels.

    Raises:
        UserError: If timm does not know the model or cannot build it for this size.
    """
    check_model_name(name, "models")
    config = timm.get_pretrained_cfg(name)
    kwargs: dict[str, Any] = {} if config is not None and config.input_size[-1] == img_size else {"img_size": img_size}
    try:
        with torch.device(device):
            return _create(name, kwargs)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(f"models: {name} cannot be built at img_size {img_size}: {first_line(error)}") from error


def _create(name: str, kwargs: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=False, **kwargs)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, pretrained=False)  # it takes images of any size, or raises when it is called
