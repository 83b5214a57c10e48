"""The ATMNet backbones, registered with timm as ``atmnet_{xtiny,tiny,small,base,large,nano}``."""

from atmnet.models.atmnet import ATMNet
from atmnet.models.looks import Look, sampling_places
from atmnet.models.variants import (
    atmnet_base,
    atmnet_large,
    atmnet_nano,
    atmnet_small,
    atmnet_tiny,
    atmnet_xtiny,
)

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
