"""Sampling along an axis, the operation at the core of ATM, with one implementation per backend."""

from atmnet.ops._dispatch import available_backends, sample_along, sample_branches

__all__ = ["available_backends", "sample_along", "sample_branches"]
