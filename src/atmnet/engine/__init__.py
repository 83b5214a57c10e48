"""Train, evaluate, predict; checkpoints and exact resume."""

from atmnet.engine.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from atmnet.engine.distributed import device_of
from atmnet.engine.evaluate import evaluate, evaluate_model
from atmnet.engine.folder import read_options
from atmnet.engine.interrupt import Interrupted
from atmnet.engine.metrics import read_metrics
from atmnet.engine.predict import Prediction, find_images, predict
from atmnet.engine.train import train

__all__ = [
    "Interrupted",
    "Prediction",
    "device_of",
    "evaluate",
    "evaluate_model",
    "find_images",
    "latest_checkpoint",
    "load_checkpoint",
    "predict",
    "read_metrics",
    "read_options",
    "save_checkpoint",
    "train",
]
