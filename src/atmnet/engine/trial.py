"""A trial of the forward pass in training, on tensors without data, before a run writes anything.

It finds image and batch sizes that a network cannot be trained with: maps without pixels, and normalisations over a
single value, which PyTorch refuses in the middle of a step, or which give zero whatever the image.
"""

import warnings
from copy import deepcopy
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from atmnet.models import ATMNet
from atmnet.tasks import DenseNetwork, Network, find_head
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import TrainOptions


def check_shapes(network: Network, options: TrainOptions, world: int) -> None:
    """Refuse image and batch sizes with which a step fails, or a normalisation has a single value.

    Args:
        network: The network, before its model is wrapped for several processes. It stays as it is.
        options: The options of the run.
        world: Number of processes, over which BatchNorm will be synchronised.

    Raises:
        UserError: Names the options to change.
    """
    if isinstance(network.model, ATMNet):
        return  # it pads maps that are too small, and normalises each token by itself
    share = options.batch_size // (world * options.accumulate)
    option, height, width = _smallest_image(network)
    size = f"batch_size, {option}: {share} image{'s' * (share != 1)} of {height}x{width} pixels at once"
    # BatchNorm sees the images of all processes. Two are as good as more: only a single one can leave a single value.
    images = torch.zeros(min(share * world, 2), network.config["input_size"][0], height, width)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            _forward(network, _copy(network.model, on_meta=True), images.to("meta"), size)
        except UserError:
            raise
        except Exception:  # a model may need values, or have tensors that are no buffers: try it with data
            try:
                _forward(network, _copy(network.model, on_meta=False), images, size)
            except UserError:
                raise
            except Exception as error:
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


def _copy(model: nn.Module, on_meta: bool) -> nn.Module:
    """A copy of a model, in training mode; without data if ``on_meta``."""
    copies: dict[int, Any] = {}
    if on_meta:  # these replace the tensors, so that none is copied first
        for parameter in model.parameters():
            empty = torch.empty_like(parameter, device="meta")
            copies[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
        copies |= {id(buffer): torch.empty_like(buffer, device="meta") for buffer in model.buffers()}
    return deepcopy(model, copies).train()


def _forward(network: Network, model: Any, images: Tensor, size: str) -> None:
    """Call ``model``, or the parts of a detector whose inputs do not depend on objects, with checks on all modules."""
    for name, module in model.named_modules():
        module.register_forward_pre_hook(_Check(name, size))
    if network.kind != "detection" or not isinstance(network, DenseNetwork):
        model(images)
        return
    head = model.head if find_head(network.options.head).stages == 1 else model.rpn.head
    head(list(model.backbone(images).values()))


class _Check:
    """A hook that checks the input of a module.

    Args:
        name: The module's name.
        size: The size of images and batches, after the options to change.
    """

    def __init__(self, name: str, size: str) -> None:
        self._name, self._size = name, size

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not inputs or not isinstance(inputs[0], Tensor):
            return
        x, layer = inputs[0], f"{type(module).__name__} {self._name}"
        shape = "x".join(str(side) for side in x.shape[1:])
        if x.numel() == 0:
            raise UserError(f"{self._size}: {layer} gets a map without pixels, of size {shape}; use larger images")
        if _values(module, x) == 1:
            advice = "larger images, or more channels (model.channels, model.head_kwargs)"
            if isinstance(module, _BatchNorm):
                advice = "a larger batch_size, a smaller accumulate or larger images"
            raise UserError(
                f"{self._size}: {layer} has one value to normalise over, in a map of size {shape}; use {advice}"
            )


def _values(module: nn.Module, x: Tensor) -> int:
    """Number of values in each mean that a normalisation takes; 0 if it takes none."""
    if isinstance(module, nn.GroupNorm):
        return x.numel() // (len(x) * module.num_groups)
    if not isinstance(module, _BatchNorm | _InstanceNorm) or not (module.training or module.running_mean is None):
        return 0
    return x.numel() // (x.shape[1] * (len(x) if isinstance(module, _InstanceNorm) else 1))
