"""Active Token Mixer: backbones that look anywhere in the image, per channel, at almost no cost.

Importing this package registers the ``atmnet_*`` models with timm. ``atmnet.train``, ``atmnet.load`` and
``atmnet.explore`` are loaded when they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from atmnet import models as models

if TYPE_CHECKING:
    from atmnet import explore as explore
    from atmnet.interface import Run as Run
    from atmnet.interface import load as load
    from atmnet.interface import train as train
    from atmnet.predictions.predictor import Predictor as Predictor

__version__ = "0.1.0"

__all__ = ["Predictor", "Run", "load", "train"]


def __getattr__(name: str) -> Any:
    if name == "explore":
        return importlib.import_module("atmnet.explore")
    if name not in __all__:
        raise AttributeError(f"module 'atmnet' has no attribute {name!r}")
    from atmnet import interface

    return getattr(interface, name)


def __dir__() -> list[str]:
    return sorted([*globals(), "explore", *__all__])
