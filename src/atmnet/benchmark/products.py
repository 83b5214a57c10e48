"""A lower limit for the time of a model: its matrix products and convolutions alone.

The rest of a model's time goes to layout changes, normalisation, activations, sampling and overhead.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

#: Names of :data:`PRODUCTS`.
_NAMES = (
    "mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "convolution", "_convolution",
    "linear", "matmul", "conv1d", "conv2d", "conv3d",  # inference_mode does not decompose these
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
)  # fmt: skip
#: Operators that libraries compute as matrix products. A fused attention counts as one product.
PRODUCTS = frozenset(getattr(torch.ops.aten, name) for name in _NAMES if hasattr(torch.ops.aten, name))

#: An operator with its positional and keyword arguments.
Call = tuple[OpOverload, list[object], dict[str, object]]


class Products:
    """Recorded calls of operators with their own inputs; ``products()`` runs them one after another."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls

    def __len__(self) -> int:
        return len(self.calls)

    @torch.inference_mode()
    def __call__(self) -> None:
        for operator, args, kwargs in self.calls:
            operator(*args, **kwargs)


def record_products(model: nn.Module, *inputs: Tensor) -> Products:
    """Record the matrix products and convolutions of one forward pass: operators, shapes, strides, dtypes, options.

    Weights are the model's own. Activations are replaced by noise of the same layout, which calls of the same layout
    share, so that a large batch fits into memory. Products inside an operator, which PyTorch does not dispatch, are not
    recorded.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    recorder = _Recorder(own)
    with torch.no_grad(), recorder:
        model(*inputs)
    return Products(recorder.calls)


class _Recorder(TorchDispatchMode):
    def __init__(self, own: set[int]) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._own = own
        self._noise: dict[tuple[object, ...], Tensor] = {}

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func.overloadpacket in PRODUCTS:
            inputs = [self._replace(value) for value in args]
            self.calls.append((func, inputs, {key: self._replace(value) for key, value in kwargs.items()}))
        return func(*args, **kwargs)

    def _replace(self, value: object) -> object:
        """Noise for a tensor of activations; the model's own tensors and other values as they are."""
        if not isinstance(value, Tensor):
            return value
        if value.untyped_storage().data_ptr() in self._own:
            return value.detach()
        layout = (tuple(value.shape), value.stride(), value.dtype, value.device)
        if layout not in self._noise:
            size = 1 + sum((n - 1) * stride for n, stride in zip(value.shape, value.stride(), strict=True))
            noise = torch.randn(max(size, 0), device=value.device).to(value.dtype)
            self._noise[layout] = noise.as_strided(value.shape, value.stride())
        return self._noise[layout]
