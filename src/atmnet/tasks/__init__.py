"""Tasks: a model, its loss and its metric."""

from atmnet.tasks.classification import ClassificationMeter, ClassificationResult, Mistake, Mixer, classification_loss
from atmnet.tasks.classifier import Classifier, build_classifier, load_classifier

__all__ = [
    "ClassificationMeter",
    "ClassificationResult",
    "Classifier",
    "Mistake",
    "Mixer",
    "build_classifier",
    "classification_loss",
    "load_classifier",
]
