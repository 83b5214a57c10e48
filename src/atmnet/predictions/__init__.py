"""Predictions for image files: computed, described in text, drawn, and written to a folder."""

from atmnet.predictions.answers import Answer, objects, ranking, regions
from atmnet.predictions.prediction import Prediction, find_images, predict
from atmnet.predictions.predictor import Predictor
from atmnet.predictions.results import Results
from atmnet.predictions.sheet import contact_sheet

__all__ = [
    "Answer",
    "Prediction",
    "Predictor",
    "Results",
    "contact_sheet",
    "find_images",
    "objects",
    "predict",
    "ranking",
    "regions",
]
