"""Heads for feature pyramids that torchvision and transformers do not have, or not in the form needed here."""

from atmnet.heads.cascade import CascadeRoIHeads
from atmnet.heads.fcos import FCOSHead
from atmnet.heads.roi_align import RoIAlign
from atmnet.heads.sampler import PositionSampler, SampleCounter
from atmnet.heads.semantic_fpn import SemanticFPNHead

__all__ = ["CascadeRoIHeads", "FCOSHead", "PositionSampler", "RoIAlign", "SampleCounter", "SemanticFPNHead"]
