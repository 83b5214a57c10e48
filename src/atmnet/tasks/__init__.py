"""Tasks: a network with its data, its loss and its metric."""

from atmnet.tasks.classification import ClassificationTask
from atmnet.tasks.classification_meter import ClassificationMeter, ClassificationResult, Mistake
from atmnet.tasks.classifier import Classifier, build_classifier, load_classifier
from atmnet.tasks.dense import DenseNetwork
from atmnet.tasks.heads import HEADS, Head, find_head
from atmnet.tasks.mixing import Mixer, classification_loss
from atmnet.tasks.start import load_network, load_task, make_task, open_training, start_task
from atmnet.tasks.task import Kind, Network, Result, Task

__all__ = [
    "HEADS",
    "ClassificationMeter",
    "ClassificationResult",
    "ClassificationTask",
    "Classifier",
    "DenseNetwork",
    "Head",
    "Kind",
    "Mistake",
    "Mixer",
    "Network",
    "Result",
    "Task",
    "build_classifier",
    "classification_loss",
    "find_head",
    "load_classifier",
    "load_network",
    "load_task",
    "make_task",
    "open_training",
    "start_task",
]
