"""Mixup, CutMix and the loss of classification.

Shapes: B images, K classes, C channels, h x w pixels.
"""

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


def classification_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, K) with soft targets (B, K), in float32."""
    return F.cross_entropy(logits.float(), targets)
