"""Open a split of a data set for detection or segmentation, whatever it lies in."""

from typing import Literal

from atmnet.data.ade20k import open_ade20k
from atmnet.data.coco import open_coco
from atmnet.data.dataset import Split
from atmnet.data.scenes import SceneDetection, SceneSegmentation
from atmnet.data.source import check_taken
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

DenseTask = Literal["detection", "segmentation"]

_FITTING = {"detection": ("coco", "scenes"), "segmentation": ("ade20k", "scenes")}


def open_dense(
    options: DataOptions, split: str, task: DenseTask, classes: list[str] | None = None, masks: bool = True
) -> Split:
    """Open a split of a data set.

    Args:
        options: Where it is.
        split: Which part: the value of ``options.train`` or ``options.val``.
        task: What its targets are for: detection or segmentation.
        classes: Class names fixed by the training split; default: those found here.
        masks: Detection: whether masks are wanted besides boxes; scenes have them anyway.

    Raises:
        UserError: Where there is no such split, it is of another task, or its classes are not ``classes``.
    """
    fitting = _FITTING[task]
    if options.source not in fitting:
        raise UserError(f"data.source: got {options.source!r}; {task} reads {' or '.join(map(repr, fitting))}")
    check_taken(options)
    if options.source == "coco":
        return open_coco(options, split, classes, masks)
    if options.source == "ade20k":
        return open_ade20k(options, split, classes)
    scenes = SceneDetection if task == "detection" else SceneSegmentation
    source = scenes(split, **options.kwargs)
    if classes is not None and classes != source.classes:
        raise UserError(
            f"data.source: 'scenes' has the classes {' '.join(source.classes)}; the network has {' '.join(classes)}"
        )
    return source
