"""Necks: what makes one pyramid of a backbone's feature maps."""

from atmnet.necks.atmfpn import ATMFPN

__all__ = ["ATMFPN"]
