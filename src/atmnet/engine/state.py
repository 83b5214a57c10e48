"""The state of a training as JSON and tensors, without pickle: what comes back is of the same types and bits.

JSON holds plain numbers, strings, lists and null as they are. Everything else is an object with one tag:

    {"dict": [[key, value], ...]}    a dict; pairs keep the types of its keys
    {"tuple": [...]}                 a tuple
    {"tensor": NAME}                 a tensor, stored under NAME
    {"array": NAME}, {"scalar": NAME}  an array or a number of NumPy, stored as a tensor
    {"float": "nan"}                 a number that JSON does not have
    {"dtype": "bfloat16"}            a dtype of torch
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atmnet_cli.errors import UserError

#: The dtypes that safetensors stores.
_DTYPES = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint64, torch.uint32, torch.uint16, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2,
}  # fmt: skip


class UnsavableState(TypeError):
    """A value that a checkpoint cannot hold; the message names it."""


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON, its tensors moved to ``tensors``.

    Args:
        value: Nested dicts, lists and tuples of tensors, arrays, numbers, strings, dtypes and None.
        name: Its name, with which those of its tensors begin.
        tensors: Takes its tensors, by names that occur once.

    Raises:
        UnsavableState: For a value of any other type.
    """
    kind = type(value)
    if kind in (bool, int, str) or value is None or (kind is float and math.isfinite(value)):
        return value
    if kind is float:
        return {"float": str(value)}
    if isinstance(value, dict):
        return {
            "dict": [[pack(k, name, tensors), pack(v, f"{name}.{k}".lstrip("."), tensors)] for k, v in value.items()]
        }
    if kind in (list, tuple, torch.Size):
        items = [pack(item, f"{name}.{i}".lstrip("."), tensors) for i, item in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is torch.dtype:
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, Tensor):
        return {"tensor": _store(value.detach(), name, tensors)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub":
        stored = torch.from_numpy(np.array(value))
        return {"array" if isinstance(value, np.ndarray) else "scalar": _store(stored, name, tensors)}
    raise UnsavableState(f"{name} is of type {kind.__module__}.{kind.__qualname__}")


def unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of :func:`pack`.

    Raises:
        UserError: If ``value`` is not what :func:`pack` returns, or a tensor is missing.
    """
    if isinstance(value, list):
        return [unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items() if len(value) == 1 else [("", None)]
    if tag == "dict" and isinstance(content, list) and all(isinstance(p, list) and len(p) == 2 for p in content):
        pairs = [(unpack(key, tensors), unpack(item, tensors)) for key, item in content]
        if all(isinstance(key, str | int | float | tuple | None) for key, _ in pairs):
            return dict(pairs)
    if tag == "tuple" and isinstance(content, list):
        return tuple(unpack(content, tensors))
    if tag == "float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if tag == "dtype" and isinstance(found := getattr(torch, str(content), None), torch.dtype):
        return found
    if tag in ("tensor", "array", "scalar"):
        if not isinstance(content, str) or content not in tensors:
            raise UserError("its tensors are not those that trainer.json names")
        stored = tensors[content]
        return stored if tag == "tensor" else stored.numpy() if tag == "array" else stored.numpy()[()]
    raise UserError("trainer.json is not the state of a training")


def _store(value: Tensor, name: str, tensors: dict[str, Tensor]) -> str:
    """Put a tensor into ``tensors``; returns its name there."""
    if type(value) not in (Tensor, torch.nn.Parameter) or value.layout != torch.strided or value.dtype not in _DTYPES:
        kind = type(value)
        raise UnsavableState(f"{name} is a {kind.__module__}.{kind.__qualname__} of {value.dtype} and {value.layout}")
    unique, number = name, 2
    while unique in tensors:  # keys such as 1 and "1", or "a.b" and "a" within "b"
        unique, number = f"{name}~{number}", number + 1
    tensors[unique] = value
    return unique
