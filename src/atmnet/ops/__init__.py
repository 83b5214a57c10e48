"""What ATM computes: sampling along an axis, and the choice of who computes it."""

from atmnet.ops._dispatch import available_backends, sample_along, sample_branches

__all__ = ["available_backends", "sample_along", "sample_branches"]
