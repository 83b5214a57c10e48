"""Make a task from options, or from a checkpoint or exported file."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from atmnet.data import Split
from atmnet.data.sources import open_split
from atmnet.tasks.balance import class_weights
from atmnet.tasks.classification import ClassificationTask
from atmnet.tasks.classifier import Classifier, build_classifier, load_classifier
from atmnet.tasks.configuration import CLASSIFIERS, read_config
from atmnet.tasks.dense import DenseNetwork, build_dense, load_dense
from atmnet.tasks.detection import DetectionTask
from atmnet.tasks.exported import ENDINGS, load_exported
from atmnet.tasks.heads import find_head
from atmnet.tasks.segmentation import SegmentationTask
from atmnet.tasks.task import Network, Task
from atmnet.tasks.weights import find_checkpoint
from atmnet_cli.errors import UserError
from atmnet_cli.options import AugmentOptions, TrainOptions, WindowOptions


def open_training(options: TrainOptions) -> Split:
    """Open the training split, whose classes are those of the network to build.

    Raises:
        UserError: If the data do not exist, or are for another kind of network.
    """
    head = find_head(options.model.head)
    return open_split(options.data, options.data.train, head.kind, masks=head.masks)


def start_task(options: TrainOptions, source: Split) -> Task:
    """Make a task with a new network, for the classes of the training split ``source``.

    Raises:
        UserError: If options do not fit each other.
    """
    network: Network
    kind = find_head(options.model.head).kind
    if kind in CLASSIFIERS:
        network = build_classifier(options.model, source.classes, options.data.img_size, kind)
    else:
        network = build_dense(options.model, options.dense, source.classes, getattr(source, "category_ids", None))
    network.range = options.data.range
    task = make_task(network, augment=options.augment)
    if options.class_weights is not None and isinstance(task, ClassificationTask):
        task.class_weights = class_weights(options.class_weights, source)
    return task


def load_task(
    model: str,
    weights: str = "",
    windows: WindowOptions | None = None,
    keep_mistakes: int = 0,
    flip: bool = False,
) -> Task:
    """Make a task with a trained network.

    Args:
        model: A run or checkpoint folder, a file that ``atmnet export`` wrote, or the name of a model.
        weights: Weights file, if ``model`` is a name.
        windows: Segmentation: sliding windows and scales. Default: the whole image at its own scale.
        keep_mistakes: Number of images to keep for the result of an evaluation: the most confident mistakes of a
            classifier, or the images with the most errors.
        flip: Whether outputs are those of the image and the mirrored image together.

    Returns:
        The task: the network with its preprocessing, its loss and its metric.

    Raises:
        UserError: If there is no such network, it does not fit ``weights``, or it does not take ``windows``.

    Examples:
        >>> from atmnet.tasks import load_task
        >>> task = load_task("atmnet_nano.digits", keep_mistakes=5)
        >>> task.network.kind, task.network.classes[:3]
        ('classification', ['0', '1', '2'])
    """
    network = load_network(model, weights)
    if network.kind != "segmentation" and windows not in (None, WindowOptions()):
        raise UserError(f"windows: only segmenters take windows, and {model} is for {network.kind}; leave it out")
    return make_task(network, windows=windows, keep_mistakes=keep_mistakes, flip=flip)


def load_network(model: str, weights: str = "") -> Network:
    """Load a trained network, without a task.

    Args:
        model: A run or checkpoint folder, a file that ``atmnet export`` wrote, or the name of a model.
        weights: Weights file, if ``model`` is a name.

    Returns:
        The network with its class names and preprocessing.

    Raises:
        UserError: If there is no such network, or it does not fit ``weights``.

    Examples:
        >>> from atmnet.tasks import load_network
        >>> len(load_network("atmnet_nano.digits").classes)
        10
    """
    if weights and Path(model).exists():
        raise UserError(f"weights: {model} contains its own weights; leave --weights out")
    if Path(model).suffix in ENDINGS:
        return load_exported(model)
    folder = find_checkpoint(Path(model))
    if folder is not None and "head" in (record := read_config(folder)):  # only detectors and segmenters record a head
        return load_dense(folder, record)
    return load_classifier(model, weights)


def make_task(
    network: Network,
    *,
    augment: AugmentOptions | None = None,
    windows: WindowOptions | None = None,
    keep_mistakes: int = 0,
    flip: bool = False,
) -> Task:
    """Make the task of a network. Each kind uses only its own options; see :func:`load_task`."""
    if network.kind in CLASSIFIERS:
        return ClassificationTask(cast(Classifier, network), augment, keep_mistakes, flip)
    dense = cast(DenseNetwork, network)
    if network.kind == "detection":
        return DetectionTask(dense, keep_mistakes, flip)
    windows = windows or WindowOptions()
    if network.exported and windows.window is None:
        file: Any = dense.model
        # An exported segmenter of a fixed size needs sliding windows for larger pictures.
        windows = replace(windows, window=file.file.shape[2])
    return SegmentationTask(dense, windows, keep_mistakes, flip)
