"""Seeds from counters, so that a run can be resumed from any step with the same bits."""

import hashlib
import random
import struct

import numpy as np
import torch
from torch.utils.data import get_worker_info


def derive_seed(*counters: int) -> int:
    """A 64-bit seed from counters (seed, epoch, position, ...); different counters give unrelated seeds."""
    packed = struct.pack(f"<{len(counters)}q", *counters)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")


def reseed(*counters: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators from counters."""
    seed = derive_seed(*counters)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - timm draws from the global generator
    if torch.accelerator.is_available() and get_worker_info() is None:
        torch.manual_seed(seed % 2**63)
    else:  # torch.manual_seed would spend a tenth of a millisecond on queueing seeds for devices that do not exist.
        torch.default_generator.manual_seed(seed % 2**63)
