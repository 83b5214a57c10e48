"""A trial of the forward pass in training, on tensors without data, before a run writes anything.

It finds image and batch sizes that a network cannot be trained with: maps without pixels, and normalisations over a
single value, which PyTorch refuses in the middle of a step, or which give zero whatever the image.

Shapes: B images at once, C channels, H x W pixels.
"""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from atmnet.tasks import DenseNetwork, Network, find_head
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import TrainOptions

_Call = Callable[[nn.Module, Any], Any]


def check_shapes(network: Network, options: TrainOptions, world: int) -> None:
    """Refuse image and batch sizes with which a step fails, or a normalisation has a single value.

    Args:
        network: The network, before its model is wrapped for several processes. It stays as it is.
        options: The options of the run.
        world: Number of processes, over which BatchNorm will be synchronised.

    Raises:
        UserError: Names the options to change.
    """
    model, share = network.model, options.batch_size // (world * options.accumulate)
    option, height, width = _smallest_image(network)
    size = f"{option}, batch_size: {height}x{width} pixels and {share} image{'s' * (share != 1)} at once"
    shape = (share, network.config["input_size"][0], height, width)
    with ExitStack() as stack, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        stack.callback(model.train, model.training)
        model.train()
        for name, module in model.named_modules():
            stack.callback(module.register_forward_pre_hook(_Check(name, world, size)).remove)
        try:
            _forward(network, torch.empty(shape, device="meta"), _call_on_meta)
        except UserError:
            raise
        except Exception:  # a model may need values, or have tensors that are no buffers: try it with data
            try:
                _forward(network, torch.zeros(shape), _call_a_copy)
            except (RuntimeError, ValueError, AssertionError, ArithmeticError, LookupError) as error:
                raise UserError(f"{size}: {network.name} cannot be trained on these: {first_line(error)}") from error


def _smallest_image(network: Network) -> tuple[str, int, int]:
    """The option of the size of training images, and the height and width of the smallest."""
    if not isinstance(network, DenseNetwork):
        return "data.img_size", *network.config["input_size"][1:]
    if network.kind == "segmentation":
        return "dense.crop_size", network.dense.crop_size, network.dense.crop_size
    model: Any = network.model
    multiple = model.transform.size_divisible
    side = multiple * ceil(min(*network.dense.img_sizes, network.dense.max_img_size) / multiple)
    return "dense.img_sizes", side, side


def _forward(network: Network, images: Tensor, call: _Call) -> None:
    """Call the model, or the parts of a detector whose inputs do not depend on the objects in the images."""
    model: Any = network.model
    if network.kind != "detection" or not isinstance(network, DenseNetwork):
        call(model, images)
        return
    maps = call(model.backbone, images)
    call(model.head if find_head(network.options.head).stages == 1 else model.rpn.head, list(maps.values()))


def _call_on_meta(module: nn.Module, inputs: Any) -> Any:
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return functional_call(module, {name: tensor.to("meta") for name, tensor in tensors.items()}, (inputs,))


def _call_a_copy(module: nn.Module, inputs: Any) -> Any:
    return deepcopy(module)(inputs)  # the statistics of the module itself must not change


class _Check:
    """A hook that checks the input of a module.

    Args:
        name: The module's name.
        world: Number of processes.
        size: The size of images and batches, with the options to change.
    """

    def __init__(self, name: str, world: int, size: str) -> None:
        self._name, self._world, self._size = name, world, size

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not inputs or not isinstance(inputs[0], Tensor):
            return
        shape = tuple(inputs[0].shape)
        if inputs[0].numel() == 0:
            raise UserError(
                f"{self._size} leave nothing to compute for {self._name}, which gets {shape}; use larger images"
            )
        values = self._values(module, inputs[0])
        if values == 1:
            advice = (
                "use a larger batch_size, a smaller accumulate or larger images"
                if isinstance(module, _BatchNorm)
                else "use larger images, or more channels for each group"
            )
            raise UserError(
                f"{self._size} leave one value to normalise over in {self._name} ({type(module).__name__}), which gets "
                f"{shape}; {advice}"
            )

    def _values(self, module: nn.Module, x: Tensor) -> int:
        """Number of values in each mean that a normalisation computes; 0 if it computes none."""
        if isinstance(module, nn.GroupNorm):
            return x.numel() // (len(x) * module.num_groups)
        if isinstance(module, _BatchNorm | _InstanceNorm):
            if not module.training and module.running_mean is not None:
                return 0
            if isinstance(module, _BatchNorm):
                return self._world * x.numel() // x.shape[1]
            return x.numel() // (x.shape[0] * x.shape[1])
        return 0
