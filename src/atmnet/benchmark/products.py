"""The limit of a model: its matrix products and convolutions alone, with nothing in between.

What is left of a model's time beyond these is layout changes, normalisation, activations, sampling and overhead.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

#: Operators that a library computes as matrix products. Fused attention counts as one.
_NAMES = (
    "mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "convolution", "_convolution",
    "linear", "matmul", "conv1d", "conv2d", "conv3d",  # under inference_mode these are not taken apart
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
)  # fmt: skip
_PACKETS = frozenset(getattr(torch.ops.aten, name) for name in _NAMES if hasattr(torch.ops.aten, name))


class Products:
    """Calls of library operators, with inputs of their own, to be run one after another: ``products()``."""

    def __init__(self, calls: Sequence[tuple[Any, list[Any], dict[str, Any]]]) -> None:
        self.calls = calls

    def __len__(self) -> int:
        return len(self.calls)

    @torch.inference_mode()
    def __call__(self) -> None:
        for operator, args, kwargs in self.calls:
            operator(*args, **kwargs)


def record_products(model: nn.Module, *inputs: Tensor) -> Products:
    """The matrix products and convolutions of one forward pass: same operators, shapes, strides, dtypes, options.

    Weights are the model's own. Activations are noise of the same layout, shared by calls of the same layout, so that
    a large batch fits into memory. What an operator does inside, out of sight of PyTorch, is not seen.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    recorder = _Recorder(own)
    with torch.no_grad(), recorder:
        model(*inputs)
    return Products(recorder.calls)


class _Recorder(TorchDispatchMode):
    def __init__(self, own: set[int]) -> None:
        super().__init__()
        self.calls: list[tuple[Any, list[Any], dict[str, Any]]] = []
        self._own = own
        self._noise: dict[tuple[Any, ...], Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in _PACKETS:
            stand_ins = [self._stand_in(value) for value in args]
            self.calls.append((func, stand_ins, {key: self._stand_in(value) for key, value in kwargs.items()}))
        return func(*args, **kwargs)

    def _stand_in(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if value.untyped_storage().data_ptr() in self._own:
            return value.detach()
        layout = (tuple(value.shape), value.stride(), value.dtype, value.device)
        if layout not in self._noise:
            reach = 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
            noise = torch.randn(max(reach, 0), device=value.device).to(value.dtype)
            self._noise[layout] = noise.as_strided(value.shape, value.stride())
        return self._noise[layout]
