"""Tasks: a model, its loss and its metric."""

from atmnet.tasks.classification import ClassificationTask
from atmnet.tasks.classification_meter import ClassificationMeter, ClassificationResult, Mistake
from atmnet.tasks.classifier import Classifier, build_classifier, load_classifier
from atmnet.tasks.dense import DenseNetwork
from atmnet.tasks.mixing import Mixer, classification_loss
from atmnet.tasks.start import load_task, open_training, start_task
from atmnet.tasks.task import Network, Result, Task, kind_of

__all__ = [
    "ClassificationMeter",
    "ClassificationResult",
    "ClassificationTask",
    "Classifier",
    "DenseNetwork",
    "Mistake",
    "Mixer",
    "Network",
    "Result",
    "Task",
    "build_classifier",
    "classification_loss",
    "kind_of",
    "load_classifier",
    "load_task",
    "open_training",
    "start_task",
]
