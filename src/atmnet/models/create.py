"""Create timm models by name, with errors that name the option to correct."""

import difflib
from typing import Any, TypedDict

import timm
from timm.data.model_config import resolve_input_data_config
from torch import nn

from atmnet_cli.errors import UserError, first_line


class DataConfig(TypedDict):
    """timm's data configuration: how a picture becomes what a model takes.

    Attributes:
        input_size: Channels, height and width.
        interpolation: Resampling, such as 'bicubic'.
        mean, std: Of each channel, or one for all, in 0..1.
        crop_pct: Share of the resized picture's side that the centre crop keeps.
        crop_mode: 'center', 'squash' or 'border'.
    """

    input_size: tuple[int, int, int]
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_pct: float
    crop_mode: str


def check_model_name(name: str, option: str, kind: str = "model") -> None:
    """Check that timm knows a model, with ours among them.

    Args:
        name: The model.
        option: The option that names it, for the error.
        kind: What the option may name, for the error: 'model', or 'model or folder'.

    Raises:
        UserError: If timm does not know it; suggests names that are close.
    """
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3) or timm.list_models("atmnet_*")
        raise UserError(f"{option}: unknown {kind} {name!r}; do you mean {' or '.join(close)}?")


def create_model(name: str, **kwargs: Any) -> Any:
    """``timm.create_model``, whose errors name the option to correct.

    The model's ``pretrained_cfg`` names it as it was asked for: a function that changes another model and returns it
    would else be recorded as that other model.

    Raises:
        UserError: For arguments that the model does not take, and for what timm refuses.
    """
    try:
        model: Any = timm.create_model(name, **kwargs)
    except TypeError as error:
        raise UserError(f"model.kwargs: {name}: {error}") from error
    except Exception as error:  # constructors meet values that they do not expect
        raise UserError(f"model: {name}: {first_line(error)}") from error
    architecture, config = name.partition(".")[0], getattr(model, "pretrained_cfg", {})
    is_known = timm.is_model(architecture) and config.get("architecture") != architecture
    # timm's own functions that do so are old names, which it maps to the new ones.
    if is_known and not timm.model_entrypoint(architecture).__module__.startswith("timm."):
        model.pretrained_cfg = model.default_cfg = {**config, "architecture": architecture}
    return model


def enable_grad_checkpointing(model: Any, name: str) -> None:
    """Let a model recompute its blocks in the backward pass.

    Raises:
        UserError: If the model, called ``name``, cannot do so.
    """
    try:
        model.set_grad_checkpointing(True)
    except (AssertionError, AttributeError) as error:
        raise UserError(f"model.grad_checkpointing: {name} does not support it") from error


def data_config(model: nn.Module, img_size: int | None = None) -> DataConfig:
    """The data configuration of a model, at another image size if one is given.

    Raises:
        UserError: For a size that timm refuses.
    """
    try:
        config: Any = resolve_input_data_config(model, {"img_size": img_size} if img_size else {})
        return config
    except ValueError as error:
        raise UserError(f"data.img_size: {first_line(error)}") from error
