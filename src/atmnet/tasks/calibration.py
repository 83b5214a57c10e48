"""Calibrated probabilities: temperature scaling, and the calibration error.

C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Logits are divided by one positive number, the
temperature, that maximises the likelihood of held-out images. The order of the classes does not change. For sets of
labels, it is the same with the sigmoid of each logit in place of the softmax of all.

Shapes: N images, K classes.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atmnet.files import write_json
from atmnet.records import read_json
from atmnet.tasks.configuration import MAX_TEMPERATURE, MIN_TEMPERATURE, TEMPERATURE
from atmnet_cli.errors import UserError

BINS = 15
#: Logits that are converted to float64 at a time.
_PART = 2**22


def count_in_bins(confidences: Tensor, correct: Tensor) -> Tensor:
    """Images, sum of confidences and correct images (3, 15), float64, in bins of equal width.

    Args:
        confidences: (N,), the probability of the predicted class, or of a label. A bin contains its lower limit; the
            last one also 1.
        correct: (N,) bool, whether that class is the true one, or the image has the label.
    """
    bins = (confidences.double() * BINS).long().clamp(0, BINS - 1)
    values = torch.stack([torch.ones_like(confidences), confidences, correct]).double()
    return torch.zeros(3, BINS, dtype=torch.float64, device=values.device).index_add_(1, bins, values)


def calibration_error(bins: Tensor) -> float:
    """The expected calibration error in percent: the mean difference of confidence and accuracy of an image's bin.

    Args:
        bins: See :func:`count_in_bins`; at least one image.
    """
    images, confidences, correct = bins
    return float(100 * (confidences - correct).abs().sum() / images.sum())


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature that minimises the cross-entropy of ``logits / temperature``.

    The cross-entropy is a convex function of the reciprocal of the temperature, so its derivative is bisected: the
    result is exact to ten digits and always the same.

    Args:
        logits: (N, K).
        targets: (N,), the true classes; or (N, K), 1 for the labels that an image has.

    Raises:
        UserError: If there is none from 0.01 to 100, for example because all images are classified correctly.
    """
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if _slope(logits, targets, low) >= 0 or _slope(logits, targets, high) <= 0:
        raise UserError(
            f"calibrate: no temperature fits these {len(logits)} images: they are all classified correctly, or no "
            "better than by chance; calibrate on more images"
        )
    while high / low > 1 + 1e-10:
        middle = (low * high) ** 0.5
        if _slope(logits, targets, middle) < 0:
            low = middle
        else:
            high = middle
    return 1 / (low * high) ** 0.5


def _slope(logits: Tensor, targets: Tensor, scale: float) -> float:
    """The derivative of the cross-entropy of ``scale * logits`` by ``scale``."""
    total = 0.0
    size = max(1, _PART // logits.shape[1])
    for part, true in zip(logits.split(size), targets.split(size), strict=True):
        part = part.double()
        if true.ndim == 2:
            total += float((((scale * part).sigmoid() - true) * part).sum())
            continue
        expected = ((scale * part).softmax(1) * part).sum(1)
        total += float((expected - part.gather(1, true[:, None])[:, 0]).sum())
    return total


def record_temperature(folder: Path, temperature: float) -> None:
    """Record a temperature in the config.json of a checkpoint folder."""
    config: Any = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, TEMPERATURE: temperature})
