"""The layers of ATMNet: ATM, offset prediction, blocks and stages, patch embedding, position encoding."""

from atmnet.layers.atm import ATM, OffsetPredictor
from atmnet.layers.block import Block, OffsetGroup, Stage, group_starts
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
    "group_starts",
]
