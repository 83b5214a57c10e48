"""Detectors and segmenters with their class names and image sizes, newly built or loaded from a checkpoint."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from atmnet.files import write_json
from atmnet.models.create import DataConfig, check_model_name
from atmnet.records import Record
from atmnet.tasks.allocation import building, check_tensors
from atmnet.tasks.configuration import check_preprocessing, dense_arguments, value_range
from atmnet.tasks.detector import build_detector
from atmnet.tasks.heads import find_head
from atmnet.tasks.pyramid import BODY, load_body
from atmnet.tasks.segmenter import build_segmenter
from atmnet.tasks.task import Kind
from atmnet.tasks.weights import read_weights
from atmnet_cli.options import DenseOptions, ModelOptions


@dataclass
class DenseNetwork:
    """A detector or segmenter.

    Attributes:
        model: See :mod:`atmnet.tasks.detector` and :mod:`atmnet.tasks.segmenter` for its inputs and outputs.
        classes: Class names, without background.
        config: timm's data configuration of the backbone (mean, std, ...).
        options: Backbone, neck and head.
        dense: Image sizes.
        category_ids: Category ids of the classes in COCO files; 1 to K if the data set has none.
        exported: Whether the model runs an exported file.
        range: The values that become black and white in grey pictures of more than 8 bits; see ``data.range``.
    """

    model: nn.Module
    classes: list[str]
    config: DataConfig
    options: ModelOptions
    dense: DenseOptions
    category_ids: list[int]
    exported: bool = False
    range: tuple[float, float] | None = None

    @property
    def kind(self) -> Kind:
        """'detection' or 'segmentation', depending on the head."""
        return find_head(self.options.head).kind

    @property
    def name(self) -> str:
        """The backbone and the head."""
        return f"{self.options.name} {self.options.head}"

    def write_config(self, path: Path) -> None:
        """Write kind, network, class names and image sizes as JSON."""
        record: dict[str, Any] = {
            "kind": self.kind,
            "head": self.options.head,
            "model": {**asdict(self.options), "weights": ""},
            "dense": asdict(self.dense),
            "label_names": self.classes,
            "category_ids": self.category_ids,
        }
        if self.range is not None:
            record["range"] = list(self.range)
        write_json(path, record)


def build_dense(
    options: ModelOptions, dense: DenseOptions, classes: list[str], category_ids: Sequence[int] | None = None
) -> DenseNetwork:
    """Build a detector or segmenter for ``classes``, with initial weights or those of ``options.weights``.

    Weights of a network with the same neck, head and classes are used whole; of all others, those of the backbone.

    Raises:
        UserError: If backbone or argument is unknown, or the checkpoint is missing, unreadable or of another model.
    """
    network = _assemble(options, dense, classes, category_ids)
    if options.weights:
        weights, weight_classes = read_weights(options.weights)
        load_body(network.model, weights, options.weights)
        if weight_classes == classes:
            _load_head(network.model, weights)
    return network


def _load_head(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load what is not of the backbone, if ``weights`` are those of the same neck and head."""
    expected, given = (
        {name: tensor for name, tensor in tensors.items() if not name.startswith(BODY)}
        for tensors in (model.state_dict(), weights)
    )
    if _shapes(expected) == _shapes(given):
        model.load_state_dict(given, strict=False)


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def load_dense(folder: Path, record: Record) -> DenseNetwork:
    """Load the network of a checkpoint folder, whose config.json contains ``record``.

    Raises:
        UserError: If the configuration is not that of a detector or segmenter, or the weights do not fit it.
    """
    config, weights = folder / "config.json", folder / "model.safetensors"
    options, dense, classes, category_ids = dense_arguments(record)
    with building(config, weights):
        network = _assemble(options, dense, classes, category_ids)
        tensors = safetensors.torch.load_file(weights)
        check_tensors(tensors, weights)
        network.model.load_state_dict(tensors)
    check_preprocessing(network.config, str(config))
    network.range = value_range(record)
    network.model.eval()
    return network


def _assemble(
    options: ModelOptions, dense: DenseOptions, classes: list[str], category_ids: Sequence[int] | None
) -> DenseNetwork:
    check_model_name(options.name, "model.name")
    if find_head(options.head).kind == "detection":
        model = build_detector(options, dense, len(classes))
    else:
        model = build_segmenter(options, len(classes))
    backbone: Any = model.backbone
    ids = list(category_ids or range(1, len(classes) + 1))
    return DenseNetwork(model, classes, backbone.config, options, dense, ids)
