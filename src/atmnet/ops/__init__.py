"""What ATM computes: sampling along one axis, and the choice of who computes it."""

from atmnet.ops._dispatch import available_backends, sample_along

__all__ = ["available_backends", "sample_along"]
