"""The layers of ATMNet: ATM, its offsets, blocks and stages, patch embedding and position encoding."""

from atmnet.layers.atm import ATM, OffsetPredictor
from atmnet.layers.block import Block, OffsetGroup, Stage, renewals
from atmnet.layers.embed import Downsample, PatchEmbed, PositionEncoding

__all__ = [
    "ATM",
    "Block",
    "Downsample",
    "OffsetGroup",
    "OffsetPredictor",
    "PatchEmbed",
    "PositionEncoding",
    "Stage",
    "renewals",
]
