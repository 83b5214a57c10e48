"""Mixup, CutMix and the losses of classification, for one label and for sets of labels.

Shapes: B images, K classes, C channels, h x w pixels.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from timm.data import Mixup
from torch import Tensor

from atmnet_cli.options import AugmentOptions


class Mixer:
    """Mixup and CutMix of neighbours in the batch, by timm.

    timm mixes the first image with the last, the second with the last but one, and so on. Here the batch is reordered
    first, so that timm mixes neighbours. The result then does not depend on how a step's batch is divided among
    processes, as long as each process gets an even number of images: timm draws its random numbers, from NumPy's global
    generator, once for a whole batch.
    """

    def __init__(self, augment: AugmentOptions, num_classes: int) -> None:
        self._smoothing = augment.label_smoothing
        self._mixup = None
        if augment.mixup > 0 or augment.cutmix > 0:
            self._mixup = Mixup(
                mixup_alpha=augment.mixup,
                cutmix_alpha=augment.cutmix,
                prob=augment.mix_prob,
                switch_prob=augment.switch_prob,
                label_smoothing=augment.label_smoothing,
                num_classes=num_classes,
            )
        self.num_classes = num_classes

    @property
    def pairs(self) -> bool:
        """Whether batches must be of even size."""
        return self._mixup is not None

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, h, w) and targets (B,) -> mixed images and soft targets (B, K)."""
        if self._mixup is None:
            soft = F.one_hot(targets, self.num_classes).float()
            return images, soft * (1 - self._smoothing) + self._smoothing / self.num_classes
        order = torch.arange(len(images), device=images.device)
        order = torch.cat([order[0::2], order[1::2].flip(0)])
        mixed: tuple[Tensor, Tensor] = self._mixup(images[order], targets[order])
        return mixed


class SetMixer:
    """As :class:`Mixer`, for images with sets of labels; the targets are mixed like the images.

    Label smoothing s turns 0 and 1 into s / 2 and 1 - s / 2.
    """

    def __init__(self, augment: AugmentOptions) -> None:
        self._smoothing, self._augment = augment.label_smoothing, replace(augment, label_smoothing=0.0)
        self.pairs = augment.mixup > 0 or augment.cutmix > 0

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, h, w) and targets (B, K) of 0 and 1 -> mixed images and soft targets (B, K)."""
        soft = targets * (1 - self._smoothing) + self._smoothing / 2
        if not self.pairs:
            return images, soft
        # If each image is a class of its own, timm's soft targets are the weights of the images in the mix.
        numbers = torch.arange(len(images), device=images.device)
        images, weights = Mixer(self._augment, len(images))(images, numbers)
        return images, weights @ soft


def multilabel_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of logits (B, K) with soft targets (B, K), in float32; ``weights`` (K,) of classes."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets, weights)


def classification_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of logits (B, K) with soft targets (B, K), in float32; ``weights`` (K,) of classes.

    The sum over the batch is divided by B, whatever the weights, so that the loss of a batch is the mean of those of
    its parts.
    """
    return F.cross_entropy(logits.float(), targets, weights)
