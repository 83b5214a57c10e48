"""Classes of different frequency: weights in the loss, and groups to sample from equally often.

Shapes: n images, K classes of n_c images.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from atmnet.data import Split
from atmnet_cli.errors import UserError


def class_weights(chosen: Literal["balanced"] | Mapping[str, float], split: Split) -> Tensor:
    """Weights (K,) of the classes, scaled so that the mean weight of the training images is 1.

    Args:
        chosen: 'balanced' for n / (K n_c), which gives every class the same part in the loss, or a weight for each
            class by its name.
        split: The training split.

    Raises:
        UserError: If classes are missing or unknown, a weight is not a positive number, or labels are not known.
    """
    counts = torch.tensor([len(group) for group in class_groups(split, "class_weights")], dtype=torch.float64)
    if chosen == "balanced":
        weights = 1 / counts.clamp(min=1)
    else:
        assert not isinstance(chosen, str)
        if chosen.keys() != set(split.classes):
            unknown, missing = sorted(chosen.keys() - set(split.classes)), sorted(set(split.classes) - chosen.keys())
            raise UserError(
                f"class_weights: expected a weight for each class; unknown: {unknown[:5]}; missing: {missing[:5]}"
            )
        wrong = [f"{name}: {weight}" for name, weight in chosen.items() if not 0 < weight < math.inf]
        if wrong:
            raise UserError(f"class_weights: got {', '.join(wrong[:5])}, expected positive numbers")
        weights = torch.tensor([chosen[name] for name in split.classes], dtype=torch.float64)
    return (weights * counts.sum() / (weights * counts).sum()).float()


def class_groups(split: Split, option: str) -> list[Tensor]:
    """The numbers of the images of each class.

    Args:
        split: The training split, for one label per image.
        option: Name of the option that needs them, for the error.

    Raises:
        UserError: If the split does not know its labels without reading all images.
    """
    labels = torch.tensor(split.inventory().labels)
    if len(labels) != len(split):
        raise UserError(f"{option}: this data source does not list its labels; use folders, a table or tar files")
    return [(labels == label).nonzero().flatten() for label in range(len(split.classes))]
