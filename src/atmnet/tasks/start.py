"""From options or a checkpoint to a task."""

from dataclasses import replace
from pathlib import Path

from atmnet.data import Split, open_source
from atmnet.data.dense_source import open_dense
from atmnet.tasks.classification import ClassificationTask
from atmnet.tasks.classifier import build_classifier, find_checkpoint, load_classifier, read_config
from atmnet.tasks.dense import DenseNetwork, build_dense, load_dense
from atmnet.tasks.detection import DetectionTask
from atmnet.tasks.detector import WITH_MASKS
from atmnet.tasks.exported import ENDINGS, FileModel, load_exported
from atmnet.tasks.segmentation import SegmentationTask
from atmnet.tasks.task import Task, kind_of
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions, WindowOptions


def open_training(options: TrainOptions) -> Split:
    """The training split; its classes are those of the network to build.

    Raises:
        UserError: Where there is no such data, or it is of another task.
    """
    kind = kind_of(options.model.head)
    if kind == "classification":
        return open_source(options.data, options.data.train)
    return open_dense(options.data, options.data.train, kind, masks=options.model.head in WITH_MASKS)


def start_task(options: TrainOptions, source: Split) -> Task:
    """A task with a fresh network, as ``options`` say, for the classes of the training split ``source``.

    Raises:
        UserError: On options that do not fit each other.
    """
    if kind_of(options.model.head) == "classification":
        return ClassificationTask(
            build_classifier(options.model, source.classes, options.data.img_size), options.augment
        )
    network = build_dense(options.model, options.dense, source.classes, getattr(source, "category_ids", None))
    return _dense_task(network, WindowOptions())


def load_task(model: str, weights: str = "", windows: WindowOptions | None = None, keep_mistakes: int = 0) -> Task:
    """A task with a trained network from a run or checkpoint folder, a file that ``atmnet export`` wrote, or a model's
    name and a weights file.

    Raises:
        UserError: Where there is none, model and weights do not fit, or ``windows`` are asked of no segmenter.
    """
    if weights and Path(model).exists():
        raise UserError(f"weights: {model} has its own; they go with the name of a model")
    task = _load(model, weights, windows or WindowOptions(), keep_mistakes)
    if windows not in (None, WindowOptions()) and not isinstance(task, SegmentationTask):
        raise UserError("windows: of segmenters alone")
    return task


def _load(model: str, weights: str, windows: WindowOptions, keep_mistakes: int) -> Task:
    if Path(model).suffix in ENDINGS:
        return _exported_task(model, windows, keep_mistakes)
    folder = find_checkpoint(Path(model))
    record = read_config(folder) if folder is not None else {}
    if folder is not None and "head" in record:
        return _dense_task(load_dense(folder, record), windows)
    return ClassificationTask(load_classifier(model, weights), keep_mistakes=keep_mistakes)


def _exported_task(path: str, windows: WindowOptions, keep_mistakes: int) -> Task:
    network = load_exported(path)
    if not isinstance(network, DenseNetwork):
        return ClassificationTask(network, keep_mistakes=keep_mistakes)
    side = network.model.file.shape[2] if isinstance(network.model, FileModel) else None
    if side is not None and windows.window is None:  # a segmenter of one size sees a picture piece by piece
        windows = replace(windows, window=side)
    return _dense_task(network, windows)


def _dense_task(network: DenseNetwork, windows: WindowOptions) -> Task:
    if kind_of(network.options.head) == "detection":
        return DetectionTask(network)
    return SegmentationTask(network, windows)
