"""A network that takes its pictures in another size: the same weights, with other preprocessing."""

import copy
from dataclasses import replace
from typing import Any, cast

from torch import nn

from atmnet.models.create import DataConfig
from atmnet.tasks import Classifier, DenseNetwork, Network
from atmnet.tasks.configuration import CLASSIFIERS

#: Smallest and largest size in pixels that can be chosen.
SMALLEST, LARGEST = 224, 1024


def default_size(network: Network) -> int:
    """The size in pixels at which a network takes pictures: a classifier's square, or the shorter side."""
    if network.kind in CLASSIFIERS:
        return int(network.config["input_size"][-1])
    dense = cast(DenseNetwork, network).dense
    return dense.img_sizes[-1] if network.kind == "detection" else dense.crop_size


def takes_any_size(network: Network) -> bool:
    """Whether the network takes pictures of other sizes than its own; exported files may have a fixed one."""
    model: Any = network.model
    return not network.exported or None in model.file.shape[2:]


def resized(network: Network, size: int) -> Network:
    """The network at another size. The model is shared with ``network``, which does not change.

    Args:
        network: Any network that takes any size.
        size: Side of a classifier's square input, or shorter side of a dense network's, in pixels.
    """
    if network.kind in CLASSIFIERS:
        classifier = cast(Classifier, network)
        config = {**classifier.config, "input_size": (classifier.config["input_size"][0], size, size)}
        return replace(classifier, config=cast(DataConfig, config))
    dense = cast(DenseNetwork, network)
    ratio = max(1.0, dense.dense.max_img_size / dense.dense.img_sizes[-1])
    longest = round(ratio * size)
    options = replace(dense.dense, img_sizes=[size], max_img_size=longest, crop_size=size)
    model = _with_size(dense.model, size, longest) if network.kind == "detection" else dense.model
    return replace(dense, model=model, dense=options)


def _with_size(model: nn.Module, shorter: int, longest: int) -> nn.Module:
    """A detector of the same modules, but for the one that resizes pictures."""
    changed: Any = copy.copy(model)
    changed._modules = dict(model._modules)
    changed.transform = copy.copy(changed.transform)
    changed.transform.min_size, changed.transform.max_size = (shorter,), longest
    return cast(nn.Module, changed)
