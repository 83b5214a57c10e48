"""The ATMNet backbones, registered with timm as ``atmnet_{xtiny,tiny,small,base,large,nano}``."""

from atmnet.models.atmnet import (
    ATMNet,
    atmnet_base,
    atmnet_large,
    atmnet_nano,
    atmnet_small,
    atmnet_tiny,
    atmnet_xtiny,
)
from atmnet.models.looks import Look, sampling_places

__all__ = [
    "ATMNet",
    "Look",
    "atmnet_base",
    "atmnet_large",
    "atmnet_nano",
    "atmnet_small",
    "atmnet_tiny",
    "atmnet_xtiny",
    "sampling_places",
]
