"""A classifier: a timm model with its class names and preprocessing, newly built or loaded from a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from timm.data import ImageNetInfo
from timm.models import load_pretrained
from timm.models._hub import _parse_model_cfg, save_config_for_hf
from torch import Tensor, nn

from atmnet.files import write_json
from atmnet.models import ATMNet
from atmnet.models._checkpoint import convert
from atmnet.models.create import DataConfig, check_model_name, create_model, data_config, enable_grad_checkpointing
from atmnet.models.store import find_weights, full_name, how_to_get
from atmnet.records import read_json
from atmnet.tasks.allocation import building, check_tensors
from atmnet.tasks.configuration import (
    TEMPERATURE,
    check_preprocessing,
    class_names,
    classifier_arguments,
    classifier_kind,
    read_config,
    temperature_of,
    value_range,
)
from atmnet.tasks.task import Kind
from atmnet.tasks.weights import find_checkpoint, read_weights
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import ModelOptions


@dataclass
class Classifier:
    """A classifier.

    Attributes:
        model: Images (B, C, H, W) -> logits (B, K).
        classes: Names of the K classes.
        config: timm's data configuration.
        exported: Whether the model runs an exported file.
        range: The values that become black and white in grey pictures of more than 8 bits; see ``data.range``.
        kind: 'classification', or 'multilabel' if the classes of an image are a set, and each has its own probability.
        temperature: What the logits are divided by for calibrated probabilities; 1 changes nothing. The model's own
            outputs are not divided.
    """

    model: nn.Module
    classes: list[str]
    config: DataConfig
    exported: bool = False
    range: tuple[float, float] | None = None
    temperature: float = 1.0

    kind: Kind = "classification"

    @property
    def name(self) -> str:
        """The architecture; for a model that is not timm's, its class."""
        config: dict[str, Any] = getattr(self.model, "pretrained_cfg", None) or {}
        return str(config.get("architecture", type(self.model).__name__))

    @property
    def category_ids(self) -> list[int]:
        """Numbers of the classes, 1 to K."""
        return list(range(1, len(self.classes) + 1))

    def write_config(self, path: Path) -> None:
        """Write architecture, kind, class names and preprocessing as JSON, in timm's hub layout."""
        record: dict[str, Any] = {"label_names": self.classes, "kind": self.kind}
        if self.kind == "multilabel":
            record["problem_type"] = "multi_label_classification"  # transformers' loss and pipeline read this
        if self.range is not None:
            record["range"] = list(self.range)
        if self.temperature != 1:
            record[TEMPERATURE] = self.temperature
        save_config_for_hf(self.model, str(path), model_config=record, data_config=dict(self.config))
        config: Any = read_json(path)
        # timm reads the number of classes beside the arguments; transformers fails if it is among them, too.
        config.get("model_args", {}).pop("num_classes", None)
        write_json(path, config)


def build_classifier(
    options: ModelOptions, classes: list[str], img_size: int | None, kind: Kind = "classification"
) -> Classifier:
    """Build a model for ``classes``, with initial weights or those of ``options.weights``.

    Raises:
        UserError: If the model is unknown, or its checkpoint is missing, unreadable or of another model.
    """
    check_model_name(options.name, "model.name")
    kwargs: dict[str, Any] = {**options.kwargs, "num_classes": len(classes)}
    if options.drop_path:
        kwargs["drop_path_rate"] = options.drop_path
    if options.weights:
        weights, weight_classes = read_weights(options.weights)
        model = _create_with_weights(options.name, weights, options.weights, classes, weight_classes, kwargs)
    else:
        model = create_model(options.name, **kwargs)
    if options.grad_checkpointing:
        enable_grad_checkpointing(model, options.name)
    return Classifier(model, classes, data_config(model, img_size), kind=kind)


def load_classifier(model: str, weights: str = "") -> Classifier:
    """Load a trained classifier from a run or checkpoint folder, or by a model's name.

    Without a weights file, a name such as 'atmnet_tiny.in1k' stands for its pretrained weights on this machine.

    Raises:
        UserError: If there is no such classifier, or model and weights do not fit each other.
    """
    folder = find_checkpoint(Path(model))
    if folder is None and not weights:
        folder = find_weights(model)
    if folder is not None:
        return _load_folder(folder)
    check_model_name(model.partition(".")[0], "model", "model or folder")
    if not weights:
        advice = f", or {how_to_get(full_name(model))}" if model.startswith("atmnet_") else ""
        raise UserError(f"weights: {model} is only the name of a model; pass the file of its weights, too{advice}")
    state, classes = read_weights(weights)
    num_classes = _num_classes(model, state)
    if num_classes == 0:
        raise UserError(f"{weights}: not weights of {model} with a classifier")
    classes = classes or (imagenet_classes() if num_classes == 1000 else [str(k) for k in range(num_classes)])
    network = _create_with_weights(model, state, weights, classes, classes, {"num_classes": num_classes})
    return Classifier(network.eval(), classes, data_config(network))


def _load_folder(folder: Path) -> Classifier:
    record, config, weights = read_config(folder), folder / "config.json", folder / "model.safetensors"
    name, facts, arguments = classifier_arguments(record)
    classes, kind = class_names(record), classifier_kind(record)
    with building(config, weights):
        # As timm does it for "local-dir:FOLDER", but for what the configuration names.
        described, _, _ = _parse_model_cfg(
            {"architecture": name, "pretrained_cfg": facts, "model_args": arguments},
            {"file": str(folder), "source": "local-dir"},
        )
        network: Any = timm.create_model(
            name, pretrained=True, pretrained_cfg=described, pretrained_model_args=dict(arguments), **arguments
        )
        preprocessing = data_config(network)
        num_classes = int(network.num_classes)
    check_preprocessing(preprocessing, str(config))
    check_tensors(network.state_dict(), weights)
    if num_classes != described.get("num_classes", num_classes) or num_classes < 1:
        raise UserError(
            f"{config}: num_classes: got {described.get('num_classes')!r:.40}, the network has {num_classes}"
        )
    if len(classes) not in (0, num_classes):
        raise UserError(f"{config}: label_names: got {len(classes)} names, the network has {num_classes} classes")
    names = classes or [str(k) for k in range(num_classes)]
    return Classifier(
        network.eval(), names, preprocessing, range=value_range(record), temperature=temperature_of(record), kind=kind
    )


def _create_with_weights(
    name: str,
    weights: dict[str, Tensor],
    path: str,
    classes: list[str],
    weight_classes: list[str],
    kwargs: dict[str, Any],
) -> Any:
    """Create a model for ``classes`` with these weights; its head is new if the weights are for other classes."""
    model = create_model(name, **kwargs)
    config = model.pretrained_cfg
    num_classes = _num_classes(name, weights)
    same_classes = num_classes == len(classes) and (not weight_classes or weight_classes == classes)
    source = {**config, "state_dict": dict(weights), "num_classes": num_classes if same_classes else -1}
    try:
        expected, optional = model.state_dict(), (*_heads(name), "norm.", "stage_norms.")
        if isinstance(model, ATMNet):
            source["state_dict"] = weights = convert(weights, model)
            unexpected = [key for key in weights if key not in expected and not key.startswith(optional)]
            if unexpected:
                raise ValueError(f"{len(unexpected)} unexpected parameters, e.g. {unexpected[0]}")
        # With a new head, timm ignores missing parameters, so that it would accept a file of another model.
        missing = [key for key in expected if key not in weights and not key.startswith(optional)]
        if missing:
            raise ValueError(f"{len(missing)} missing parameters, e.g. {missing[0]}")
        load_pretrained(model, source, num_classes=len(classes), in_chans=model.in_chans)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path}: not weights of {name}: {first_line(error)}") from error
    return model


def _heads(name: str) -> tuple[str, ...]:
    """Names of a timm model's classifier layers; distilled models have two."""
    config = timm.get_pretrained_cfg(name)
    heads = config.classifier if config is not None else None
    return (heads,) if isinstance(heads, str) else tuple(heads or ())


def _num_classes(name: str, weights: dict[str, Tensor]) -> int:
    """Number of classes of the weights; 0 if they have no classifier. In the authors' files it is called 'head'."""
    for head in (*_heads(name), "head"):
        if f"{head}.weight" in weights:
            return len(weights[f"{head}.weight"])
    return 0


def imagenet_classes() -> list[str]:
    """The first name of each of ImageNet's 1,000 classes."""
    info = ImageNetInfo()
    return [info.index_to_description(i).partition(",")[0] for i in range(1000)]
