"""Small checkpoint folders of each kind, and copies of them with something changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch

from atmnet.tasks.classifier import build_classifier
from atmnet.tasks.dense import build_dense
from atmnet_cli.options import DenseOptions, ModelOptions

#: Dotted names of options of the networks.
NETWORKS: dict[str, dict[str, Any]] = {
    "classifier": {"name": "test_resnet"},
    "atmnet": {"name": "atmnet_nano", "kwargs": {"dims": [8, 16, 24, 32]}},
    "semantic_fpn": {"name": "test_resnet", "head": "semantic_fpn", "channels": 16, "head_kwargs": {"channels": 32}},
    "upernet": {"name": "test_resnet", "head": "upernet", "channels": 16},
    "fcos": {"name": "test_resnet", "head": "fcos", "channels": 32},
}


def write_checkpoints(root: Path) -> Path:
    """A folder for each of :data:`NETWORKS`, for two classes."""
    for key, options in NETWORKS.items():
        network: Any
        if "head" in options:
            network = build_dense(ModelOptions(**options), DenseOptions(img_sizes=[32], crop_size=32), ["cat", "dog"])
        else:
            network = build_classifier(ModelOptions(**options), ["cat", "dog"], 32)
        (root / key).mkdir()
        network.write_config(root / key / "config.json")
        safetensors.torch.save_file(network.model.state_dict(), root / key / "model.safetensors")
    return root


def changed(source: Path, target: Path, path: str, value: Any) -> Path:
    """A copy of a checkpoint with another value at a dotted path in its config.json."""
    shutil.copytree(source, target)
    config = json.loads((source / "config.json").read_text())
    *groups, leaf = path.split(".")
    group = config
    for name in groups:
        group = group.setdefault(name, {})
    group[leaf] = value
    (target / "config.json").write_text(json.dumps(config))
    return target
