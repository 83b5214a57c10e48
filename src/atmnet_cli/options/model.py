"""Options of the network."""

from dataclasses import dataclass, field
from typing import Any, Literal

#: What a network does.
Kind = Literal["classification", "multilabel", "detection", "segmentation"]

#: The head on the backbone: a classifier for one label or for sets of labels, a detector or a segmenter. See
#: ``atmnet.tasks.heads``.
Head = Literal[
    "classifier", "multilabel",
    "retinanet", "retinanet_v2", "fcos", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn",
    "semantic_fpn", "upernet",
]  # fmt: skip


@dataclass
class ModelOptions:
    """The network, and the weights that it starts from."""

    name: str = "atmnet_tiny"
    """Name of any timm model; `atmnet models` lists those of atmnet."""
    head: Head = "classifier"
    """Head on the backbone: 'classifier' for one label per image, 'multilabel' for sets of labels, or the head of a
    detector or segmenter."""
    neck: Literal["fpn", "atmfpn", "atmfpn_aligned"] = "fpn"
    """Feature pyramid network of detectors and 'semantic_fpn'."""
    channels: int = 256
    """Number of channels of the neck; for 'upernet', of the head."""
    head_kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the detector or segmenter; see docs/dense.md."""
    weights: str = ""
    """Weights to start from: a name such as atmnet_tiny.in1k, a file of the authors or of timm, or a run or checkpoint
    folder. For other classes, the head is new; detectors and segmenters with another neck, head or classes use the
    backbone's weights. Default: random weights."""
    freeze: int | Literal["backbone"] = 0
    """Number of stages, with the stem, that are not trained; 'backbone' trains only the head (and neck)."""
    drop_path: float = 0.0
    """Stochastic depth rate of the last block."""
    grad_checkpointing: bool = False
    """Recompute blocks in the backward pass, which needs less memory and about a third more time."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the model, e.g. {"drop_rate": 0.1}."""
