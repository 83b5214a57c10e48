"""Where and in which precision a module creates its parameters."""

from typing import TypedDict

import torch
from torch.types import Device


class FactoryOptions(TypedDict):
    """The arguments ``device`` and ``dtype`` that all modules take, to pass on as ``**options``."""

    device: Device
    dtype: torch.dtype | None
