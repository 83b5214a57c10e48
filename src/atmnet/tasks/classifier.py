"""A classifier: a timm model with its class names and preprocessing, built anew or loaded with all it carries."""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from timm.data import ImageNetInfo
from timm.data.model_config import resolve_input_data_config
from timm.models import load_pretrained, load_state_dict
from timm.models._hub import save_config_for_hf
from torch import Tensor, nn

from atmnet.models import ATMNet
from atmnet.models._checkpoint import convert
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import ModelOptions


@dataclass
class Classifier:
    """A model, its class names, and timm's data configuration (input size, mean, std, interpolation, crop)."""

    model: nn.Module
    classes: list[str]
    config: dict[str, Any]

    def write_config(self, path: Path) -> None:
        """Write architecture, class names and preprocessing as JSON, in timm's hub layout."""
        save_config_for_hf(self.model, str(path), model_config={"label_names": self.classes}, data_config=self.config)


def build_classifier(options: ModelOptions, classes: list[str], img_size: int | None) -> Classifier:
    """A model for ``classes``, initialised or from ``options.checkpoint``.

    Raises:
        UserError: For an unknown model, or a checkpoint that is missing, unreadable or of another model.
    """
    check_name(options.name)
    kwargs: dict[str, Any] = {**options.kwargs, "num_classes": len(classes)}
    if options.drop_path:
        kwargs["drop_path_rate"] = options.drop_path
    if options.checkpoint:
        weights, names = read_weights(options.checkpoint)
        model = _create_with(options.name, weights, options.checkpoint, classes, names, kwargs)
    else:
        model = create(options.name, **kwargs)
    if options.grad_checkpointing:
        try:
            model.set_grad_checkpointing(True)
        except (AssertionError, AttributeError) as error:
            raise UserError(f"model.grad_checkpointing: {options.name} does not have it") from error
    return Classifier(model, classes, data_config(model, img_size))


def load_classifier(model: str, weights: str = "") -> Classifier:
    """A trained classifier from a run or checkpoint folder, or from a model's name and a weights file.

    Raises:
        UserError: Where there is none, or model and weights do not fit.
    """
    folder = find_checkpoint(Path(model))
    if folder is not None:
        names = _recorded_names(folder)
        network = create(f"local-dir:{folder}", pretrained=True)
        names = names or [str(k) for k in range(network.num_classes)]
        return Classifier(network.eval(), names, data_config(network, None))
    check_name(model)
    if not weights:
        raise UserError(f"weights: {model} is a model's name; give the file or folder of its weights, too")
    state, names = read_weights(weights)
    num_classes = _num_classes(model, state)
    if num_classes == 0:
        raise UserError(f"{weights}: not weights of {model} with a classifier")
    names = names or (_imagenet_names() if num_classes == 1000 else [str(k) for k in range(num_classes)])
    network = _create_with(model, state, weights, names, names, {"num_classes": num_classes})
    return Classifier(network.eval(), names, data_config(network, None))


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint folder that a run or checkpoint folder stands for: itself, its best, or its last."""
    for folder in (path, path / "best", path / "last"):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    if path.is_dir():
        raise UserError(f"{path}: holds no checkpoint (config.json with model.safetensors, or best/, last/)")
    return None


def check_name(name: str) -> None:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3) or timm.list_models("atmnet_*")
        raise UserError(f"model: unknown model or no such folder: {name!r}; do you mean {' or '.join(near)}?")


def create(name: str, **kwargs: Any) -> Any:
    try:
        return timm.create_model(name, **kwargs)
    except TypeError as error:
        raise UserError(f"model.kwargs: {name}: {error}") from error
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"model: {name}: {first_line(error)}") from error


def _create_with(
    name: str, weights: dict[str, Tensor], path: str, classes: list[str], names: list[str], kwargs: dict[str, Any]
) -> Any:
    """A model with given weights; a fresh head where these are for other classes."""
    model = create(name, **kwargs)
    config = model.pretrained_cfg
    num_classes = _num_classes(name, weights)
    same = num_classes == len(classes) and (not names or names == classes)
    source = {**config, "state_dict": dict(weights), "num_classes": num_classes if same else -1}
    try:
        own, optional = model.state_dict(), (*_heads(name), "norm.", "stage_norms.")
        if isinstance(model, ATMNet):
            source["state_dict"] = weights = convert(weights, model)
            surplus = [key for key in weights if key not in own and not key.startswith(optional)]
            if surplus:
                raise ValueError(f"{len(surplus)} parameters too many, e.g. {surplus[0]}")
        # timm ignores what is missing where the head is new; a foreign file must not pass for that.
        missing = [key for key in own if key not in weights and not key.startswith(optional)]
        if missing:
            raise ValueError(f"{len(missing)} parameters are missing, e.g. {missing[0]}")
        load_pretrained(model, source, num_classes=len(classes), in_chans=model.in_chans)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path}: not weights of {name}: {first_line(error)}") from error
    return model


def read_weights(path: str) -> tuple[dict[str, Tensor], list[str]]:
    """Weights and, where they are known, class names of a file or folder."""
    names: list[str] = []
    folder = find_checkpoint(Path(path))
    if folder is not None:
        names = _recorded_names(folder)
        path = str(folder / "model.safetensors")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file or folder")
    try:
        return load_state_dict(path), names
    except (RuntimeError, SafetensorError, EOFError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a readable checkpoint: {first_line(error)}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration in a checkpoint folder."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not ("architecture" in config or "head" in config):
            raise ValueError("neither a timm model nor a detector or segmenter")
        return config
    except (ValueError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'}: not the configuration of a model") from error


def _recorded_names(folder: Path) -> list[str]:
    """The class names in a checkpoint folder's configuration, if it gives any."""
    return read_config(folder).get("label_names") or []


def _heads(name: str) -> tuple[str, ...]:
    """Names of the final layers of a timm model; distilled ones have two."""
    config = timm.get_pretrained_cfg(name)
    heads = config.classifier if config is not None else None
    return (heads,) if isinstance(heads, str) else tuple(heads or ())


def _num_classes(name: str, weights: dict[str, Tensor]) -> int:
    """Number of classes that weights are for, 0 where they have no classifier; the authors' own is called head."""
    for head in (*_heads(name), "head"):
        if f"{head}.weight" in weights:
            return len(weights[f"{head}.weight"])
    return 0


def _imagenet_names() -> list[str]:
    info = ImageNetInfo()
    return [info.index_to_description(i).partition(",")[0] for i in range(1000)]


def data_config(model: nn.Module, img_size: int | None) -> dict[str, Any]:
    try:
        return resolve_input_data_config(model, {"img_size": img_size} if img_size else {})
    except ValueError as error:
        raise UserError(f"data.img_size: {first_line(error)}") from error
