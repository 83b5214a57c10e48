"""The task of classifiers, as the engine uses it; what differs between one label and sets of labels is in one table.

Shapes: B images, K classes, C channels, h x w pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from atmnet.data import Collate, OnImage, Split, eval_transform, stack_samples, train_transform
from atmnet.data.sources import open_split, read_as
from atmnet.tasks.classification_meter import ClassificationMeter
from atmnet.tasks.classifier import Classifier
from atmnet.tasks.flips import mean_of_labels, mean_of_sets
from atmnet.tasks.mixing import Mixer, SetMixer, classification_loss, multilabel_loss
from atmnet.tasks.multilabel_meter import MultilabelMeter
from atmnet.tasks.task import Kind, Meter
from atmnet_cli.options import AugmentOptions, DataOptions


@dataclass(frozen=True)
class TargetKind:
    """The facts of a kind of target of an image.

    Attributes:
        score_name: Name of the number that checkpoints are compared by.
        mixer: (options, K) -> what mixes images (B, C, h, w) and targets, and returns soft targets (B, K).
        loss: (logits (B, K), soft targets (B, K), weights of the classes (K,) or None) -> the loss.
        meter: (K, device, number of mistakes to keep) -> a new meter.
        mean: Logits (M, B, K) of M forward passes -> logits (B, K) of their mean probabilities.
        empty: K -> the target of an image without a label.
    """

    score_name: str
    mixer: Callable[[AugmentOptions, int], Mixer | SetMixer]
    loss: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    meter: Callable[[int, torch.device, int], Meter]
    mean: Callable[[Tensor], Tensor]
    empty: Callable[[int], Any]


TARGETS: dict[Kind, TargetKind] = {
    "classification": TargetKind(
        "top-1", Mixer, classification_loss, ClassificationMeter, mean_of_labels, lambda classes: 0
    ),
    "multilabel": TargetKind(
        "mAP", lambda augment, classes: SetMixer(augment), multilabel_loss, MultilabelMeter, mean_of_sets, torch.zeros
    ),
}


class ClassificationTask:
    """A classifier for one label per image, or for sets of labels, as :data:`TARGETS` says.

    Attributes:
        class_weights: Weights (K,) of the classes in the loss; None for equal weights.
    """

    class_weights: Tensor | None = None

    def __init__(
        self, network: Classifier, augment: AugmentOptions | None = None, keep_mistakes: int = 0, flip: bool = False
    ) -> None:
        self.network = network
        self._augment = augment or AugmentOptions()
        self._target = TARGETS[network.kind]
        self.score_name = self._target.score_name
        self._mixer = self._target.mixer(self._augment, len(network.classes))
        self.pairs = self._mixer.pairs
        self._keep_mistakes, self._flip = keep_mistakes, flip

    def open(self, data: DataOptions, split: str) -> Split:
        """A split of a data set whose classes are the network's."""
        kind = self.network.kind
        return open_split(read_as(data, self.network.range, kind), split, kind, self.network.classes)

    def train_transform(self) -> OnImage:
        """timm's random transform of the picture."""
        return OnImage(train_transform(self._augment, self.network.config))

    def eval_transform(self) -> OnImage:
        """timm's resize and centre crop of the picture."""
        return OnImage(eval_transform(self.network.config))

    @property
    def train_collate(self) -> Collate:
        """Images (B, C, h, w), and labels (B,) or sets of labels (B, K)."""
        return stack_samples

    @property
    def eval_collate(self) -> Collate:
        """Images (B, C, h, w), and labels (B,) or sets of labels (B, K)."""
        return stack_samples

    def mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mixup and CutMix; soft targets (B, K)."""
        return self._mixer(images, targets)

    def loss(self, model: Callable[..., Tensor], images: Tensor, targets: Tensor, seeds: Sequence[int]) -> Tensor:
        """The loss with soft targets (B, K)."""
        weights = None if self.class_weights is None else self.class_weights.to(targets.device)
        return self._target.loss(model(images), targets, weights)

    def outputs(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K), divided by the network's temperature; with mirroring, those of the mean probabilities."""
        logits: Tensor = model(images)
        if self._flip:
            return self._target.mean(torch.stack([logits, model(images.flip(-1))]) / self.network.temperature)
        return logits if self.network.temperature == 1 else logits / self.network.temperature

    def meter(self, device: torch.device) -> Meter:
        """Accuracy or average precision, and mistakes."""
        return self._target.meter(len(self.network.classes), device, self._keep_mistakes)

    def empty_target(self, image: Image.Image) -> Any:
        """Class 0 or no class; the outputs do not depend on it."""
        return self._target.empty(len(self.network.classes))
