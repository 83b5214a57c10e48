"""Heads on feature pyramids, where torchvision and transformers have none."""

from atmnet.heads.cascade import CascadeRoIHeads
from atmnet.heads.fcos import FCOSHead
from atmnet.heads.roi_align import RoIAlign
from atmnet.heads.sampler import Counter, PositionSampler
from atmnet.heads.semantic_fpn import SemanticFPNHead

__all__ = ["CascadeRoIHeads", "Counter", "FCOSHead", "PositionSampler", "RoIAlign", "SemanticFPNHead"]
