"""Necks: modules that make a feature pyramid of a backbone's feature maps."""

from atmnet.necks.atmfpn import ATMFPN

__all__ = ["ATMFPN"]
