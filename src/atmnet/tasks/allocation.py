"""A limit of what building a network may allocate, for networks that a file describes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from atmnet_cli.errors import UserError, first_line

#: What may be allocated beyond a multiple of the weights' bytes, and how many tensors beyond a multiple of theirs.
_SPARE_BYTES, _SPARE_TENSORS = 2**28, 300
#: How often a file's bytes may be used by tensors that share them, as tied weights do.
_SHARED = 8
_FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class _Limit(TorchDispatchMode):
    """Refuses operations before they allocate more than ``size`` bytes, or make more than so many new tensors."""

    def __init__(self, size: int, tensors: int) -> None:
        super().__init__()
        self._size = self._left = size
        self._tensors = tensors
        self.is_exceeded = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = list(_tensors((*args, *kwargs.values())))
        if tensors:
            needed = _largest(tensors)
        elif any(argument.name == "device" for argument in func._schema.arguments):
            # On the meta device a tensor has a size, but no memory.
            needed = _bytes(func(*args, **{**kwargs, "device": torch.device("meta")}))
            self._left -= needed
            self._tensors -= 1
        else:
            needed = 0
        if self._tensors < 0 or self._left < 0 or needed > self._size:
            self.is_exceeded = True
            raise MemoryError("a network that is much larger than its weights")
        return func(*args, **kwargs)


def _bytes(tensor: Any) -> int:
    return tensor.numel() * tensor.element_size() if isinstance(tensor, Tensor) else 0


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _largest(tensors: list[Tensor]) -> int:
    """Upper limit of the result of an operation by elements, in bytes; views count as if they were copied."""
    width = max(tensor.element_size() for tensor in tensors)
    largest = max(tensor.numel() for tensor in tensors)
    if len({tensor.shape for tensor in tensors}) > 1 and largest < math.prod(tensor.numel() for tensor in tensors):
        with suppress(RuntimeError):  # not an operation by elements
            largest = max(largest, math.prod(torch.broadcast_shapes(*(tensor.shape for tensor in tensors))))
    return width * largest


@contextmanager
def building(config: Path, weights: Path) -> Iterator[None]:
    """Build a network within the block as a configuration says, and load its weights.

    Nothing is allocated beyond a multiple of the weights' file, and whatever fails is a UserError: constructors of
    several libraries get values that nobody checked against each other.

    Args:
        config: The configuration.
        weights: The weights.

    Raises:
        UserError: If the network cannot be built, or needs much more than the weights have.
    """
    limit: _Limit | None = None
    try:
        with safe_open(weights, "pt") as file:
            tensors = len(file.keys())
        with (limit := _Limit(8 * weights.stat().st_size + _SPARE_BYTES, 2 * tensors + _SPARE_TENSORS)):
            yield
    except Exception as error:
        if limit is not None and limit.is_exceeded:
            reason = f"{weights}: does not fit the network in {config.name}, which is much larger than the weights"
        elif isinstance(error, UserError):
            reason = str(error) if str(error).startswith(str(config.parent)) else f"{config}: {error}"
        else:
            reason = f"{weights}: does not fit the network in {config.name}: {first_line(error)}"
        raise UserError(reason) from error


def check_tensors(tensors: Any, path: Path | str) -> None:
    """Check that weights are ordinary tensors with numbers.

    Raises:
        UserError: If they are no dict of such tensors, or one of them is larger than the file that it is in, which
            views can be, or has a NaN.
    """
    if not isinstance(tensors, dict):
        raise UserError(f"{path}: not a readable checkpoint: got a {type(tensors).__name__}, expected weights by name")
    size = Path(path).stat().st_size
    left = _SHARED * size
    for name, tensor in tensors.items():
        where = f"{path}: {name!r:.100}"
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(f"{where}: not a readable checkpoint: got a {type(tensor).__name__}, expected a tensor")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_nested:
            raise UserError(f"{where}: got a sparse, quantised or empty tensor, expected a dense one")
        left -= _bytes(tensor)
        if _bytes(tensor) > size or left < 0:
            shape = " x ".join(map(str, tensor.shape))
            raise UserError(f"{where}: got a tensor of {shape} elements in a file of {size:,} bytes")
        if tensor.dtype in _FLOATS and tensor.isnan().any():
            raise UserError(f"{where}: contains NaN, so the network would answer nothing; the training has diverged")
