"""The kinds of networks: how each of them is exported, in one table."""

from atmnet.export.classifiers import describe_classifier
from atmnet.export.detectors import describe_detector
from atmnet.export.segmenters import describe_segmenter
from atmnet.export.settings import Precision
from atmnet.export.subject import TaskExport
from atmnet.tasks import Kind

_CLASSIFIER: dict[Precision, float] = {"fp32": 5e-6, "fp16": 1e-2, "int8": 0.15, "int8-dynamic": 0.15}
# Heads add rounding errors of their own, most of all where a level has few tokens that are normalised together.
_SEGMENTER: dict[Precision, float] = {**_CLASSIFIER, "fp32": 5e-5, "fp16": 2e-2}
_DETECTOR: dict[Precision, float] = {"fp32": 5e-5}

# Pictures of segmenters and detectors are large and differ in size: few of them, one in a call.
TASK_EXPORTS: dict[Kind, TaskExport] = {
    "classification": TaskExport("classifier", describe_classifier, _CLASSIFIER, False, 64, 8),
    "multilabel": TaskExport("classifier", describe_classifier, _CLASSIFIER, False, 64, 8),
    "segmentation": TaskExport("segmenter", describe_segmenter, _SEGMENTER, False, 6, 1),
    "detection": TaskExport("detector", describe_detector, _DETECTOR, True, 6, 1),
}
