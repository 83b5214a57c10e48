"""A batch as one block of memory, whatever it consists of: its tensors side by side, then the rest of it, pickled.

Each tensor that a loader process sends by itself costs a file descriptor, and a batch of detection has thousands.
"""

import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: Every tensor begins at a multiple of this, in bytes, which is the alignment of PyTorch's own tensors.
_ALIGNMENT = 64
#: Tensors below this size, in bytes, are copied out of the block, so that a meter which keeps one keeps no whole batch.
_SMALL = 2**16
_LENGTH_BYTES = 8


def pack(value: Any, allocate: Callable[[int], Tensor]) -> Tensor:
    """``value`` in the memory that ``allocate`` returns for a number of bytes: a uint8 tensor of that length."""
    rest = io.BytesIO()
    packer = _Packer(rest)
    packer.dump(value)
    end = rest.getvalue() + rest.tell().to_bytes(_LENGTH_BYTES, "little")
    memory = allocate(packer.size + len(end))
    for offset, strides, tensor in packer.tensors:
        _view(memory, offset, tensor.dtype, tensor.shape, strides).copy_(tensor)
    memory[packer.size :].copy_(torch.frombuffer(bytearray(end), dtype=torch.uint8))
    return memory


def unpack(memory: Tensor) -> Any:
    """The value that :func:`pack` wrote; its large tensors are views of ``memory``."""
    end = memory[-_LENGTH_BYTES:]
    length = int.from_bytes(end.numpy().tobytes(), "little")
    rest = memory[-_LENGTH_BYTES - length : -_LENGTH_BYTES].numpy().tobytes()
    return _Unpacker(io.BytesIO(rest), memory).load()


class _Packer(pickle.Pickler):
    """Pickles all but plain tensors, for which it makes room."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.size = 0
        self.tensors: list[tuple[int, tuple[int, ...], Tensor]] = []

    def persistent_id(self, value: Any) -> Any:
        if type(value) is not Tensor or value.layout != torch.strided or value.device.type != "cpu":
            return None
        # Dense tensors keep their strides, as channels last; others become contiguous.
        strides = torch.empty_like(value, device="meta").stride()
        offset = self.size
        self.size += -(-value.nbytes // _ALIGNMENT) * _ALIGNMENT
        self.tensors.append((offset, strides, value))
        return offset, value.dtype, tuple(value.shape), strides


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, memory: Tensor) -> None:
        super().__init__(file)
        self._memory = memory

    def persistent_load(self, place: Any) -> Tensor:
        tensor = _view(self._memory, *place)
        return tensor.clone() if tensor.nbytes < _SMALL else tensor


def _view(memory: Tensor, offset: int, dtype: torch.dtype, shape: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
    flat = memory[offset : offset + math.prod(shape) * dtype.itemsize].view(dtype)
    return flat.as_strided(shape, strides)
