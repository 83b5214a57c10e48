"""Where images come from."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class DataOptions:
    """Where images come from and how they are read."""

    source: str = "folder"
    """Classification: 'folder' (one folder per class), 'tar', 'wds' (shards), 'digits' (embedded) or 'hfds/NAME';
    detection: 'coco'; segmentation: 'ade20k'; both: 'scenes' (embedded). See docs/data.md."""
    root: str = ""
    """Folder that holds the splits; cache folder for 'hfds/NAME'."""
    train: str = "train"
    """Training split: a sub-folder or tar file of root, a pattern of shards, or a split's name."""
    val: str = "val"
    """Validation split, likewise."""
    classes: str = ""
    """Text file with one class name per line. Default: the training split's."""
    img_size: int | None = None
    """Side of the square that images are resized to, in pixels. Default: the model's."""
    max_unreadable: float = 0.05
    """Share of training images that may be unreadable before training stops. Evaluation accepts none."""
    workers: int = 4
    """Loader processes for each training process, at most one a core; 0 reads in the training process itself."""
    ignore_zero: bool = True
    """'ade20k': label 0 is no class but ignored, and the others count from 1."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """'scenes': its arguments, e.g. {"img_size": 128, "images": 2000}."""
