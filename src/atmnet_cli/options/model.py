"""Which network."""

from dataclasses import dataclass, field
from typing import Any, Literal

#: What a network does.
Kind = Literal["classification", "detection", "segmentation"]

#: What stands on the backbone: the classifier, a detector, a segmenter. See ``atmnet.tasks.heads``.
Head = Literal[
    "classifier",
    "retinanet", "retinanet_v2", "fcos", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn",
    "semantic_fpn", "upernet",
]  # fmt: skip


@dataclass
class ModelOptions:
    """Which network, and which weights it starts from."""

    name: str = "atmnet_tiny"
    """Any model that timm knows; `atmnet models` lists ours."""
    head: Head = "classifier"
    """What stands on the backbone: a classifier, or the head of a detector or segmenter."""
    neck: Literal["fpn", "atmfpn", "atmfpn_aligned"] = "fpn"
    """Feature pyramid of detectors and 'semantic_fpn'."""
    channels: int = 256
    """Channels of the neck; of the head of 'upernet'."""
    head_kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the detector or segmenter; see docs/dense.md."""
    weights: str = ""
    """Weights to start from: an official file, a timm file, or a folder of ours. Another number of classes gives a
    new head; detectors and segmenters take the backbone alone. Default: initialise."""
    drop_path: float = 0.0
    """Stochastic depth rate of the last block."""
    grad_checkpointing: bool = False
    """Recompute blocks in the backward pass: less memory, about a third more time."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the model, e.g. {"drop_rate": 0.1}."""
