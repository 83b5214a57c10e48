"""Where images come from."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class DataOptions:
    """Where images come from and how they are read."""

    source: str = "auto"
    """Kind of data; 'auto' recognises it by the files in root. Classification: 'folder' (one folder per class), 'tar',
    'wds' (shards), 'hfds/NAME'; this and sets of labels: 'table' (a CSV file); detection: 'coco', 'yolo', 'voc',
    'labelme', 'cvat', 'labelstudio'; segmentation: 'ade20k'. Embedded: 'digits', 'pathfinder' (classification), 'pairs'
    (classification, segmentation), 'scenes' (all kinds but sets). See docs/data.md, docs/formats.md, docs/reach.md."""
    root: str = ""
    """Folder that contains the splits; for 'hfds/NAME', the cache folder."""
    train: str = "train"
    """Training split: a sub-folder, tar file or table in root, a pattern of shards, or the name of a split."""
    val: str = "val"
    """Validation split, in the same form."""
    val_share: float = 0.2
    """Data without splits ('folder', 'table' and formats of detection): share of each class (0 to 1) that is for
    validation."""
    split_seed: int = 0
    """Seed of that division."""
    split_file: str = ""
    """File of that division, such as the split.json of another run. Default: that of the run, else a new one."""
    classes: str = ""
    """Text file with one class name per line. Default: the classes of the training split."""
    range: tuple[float, float] | None = None
    """Values that become black and white in grey images of more than 8 bits, e.g. 0 4095 for 12 bits; recorded in the
    checkpoint. `atmnet check-data` says which fit. Default: 0 65535; see docs/data.md."""
    label_separator: str | None = None
    """'table': characters between the labels of an image, such as ' ' or ','. Default: '|' and ';'."""
    img_size: int | None = None
    """Classification: side of the square that images are resized to, in pixels. Default: that of the model."""
    max_unreadable: float = 0.05
    """Share of training images (0 to 1) that may be unreadable before training stops. Evaluation accepts none."""
    workers: int = 4
    """Loader processes of each training process, at most one per core; 0 reads in the training process itself, as an
    evaluation of a single batch always does."""
    ignore_zero: bool = True
    """'ade20k': ignore pixels of label 0, and count classes from label 1."""
    crowd: Literal["regions", "objects"] | None = None
    """'coco', 'voc': what `iscrowd: 1` means: 'regions' of uncounted objects, which are not trained on, or nothing: all
    annotations are 'objects'. Default: 'regions', but a file in which most annotations are so is refused."""
    used_classes: bool = False
    """Detection, except 'scenes': leave out classes without objects in the training split, such as LabelMe's
    `_background_`."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """'scenes', 'pathfinder', 'pairs': their arguments, e.g. {"img_size": 128, "images": 2000}."""
