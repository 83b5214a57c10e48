"""Training and evaluation, with checkpoints from which a run resumes exactly."""

from atmnet.engine.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from atmnet.engine.distributed import device_of
from atmnet.engine.evaluation import evaluate, evaluate_model
from atmnet.engine.interrupt import Interrupted
from atmnet.engine.log import Diverged
from atmnet.engine.metrics import read_metrics
from atmnet.engine.recorded import find_run, read_options
from atmnet.engine.trainer import train

__all__ = [
    "Diverged",
    "Interrupted",
    "device_of",
    "evaluate",
    "evaluate_model",
    "find_run",
    "latest_checkpoint",
    "load_checkpoint",
    "read_metrics",
    "read_options",
    "save_checkpoint",
    "train",
]
