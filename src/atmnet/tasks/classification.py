"""The classification task, as the engine uses it."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from atmnet.data import Collate, OnImage, Split, eval_transform, stack_samples, train_transform
from atmnet.data.sources import open_split, read_as
from atmnet.tasks.classification_meter import ClassificationMeter
from atmnet.tasks.classifier import Classifier
from atmnet.tasks.flips import mean_log_probabilities
from atmnet.tasks.mixing import Mixer, classification_loss
from atmnet_cli.options import AugmentOptions, DataOptions


class ClassificationTask:
    """Cross-entropy with mixed images and soft targets, measured by accuracy."""

    score_name = "top-1"

    def __init__(
        self, network: Classifier, augment: AugmentOptions | None = None, keep_mistakes: int = 0, flip: bool = False
    ) -> None:
        self.network = network
        self._augment = augment or AugmentOptions()
        self._mixer = Mixer(self._augment, len(network.classes))
        self.pairs = self._mixer.pairs
        self._keep_mistakes, self._flip = keep_mistakes, flip

    def open(self, data: DataOptions, split: str) -> Split:
        """A split of a data set whose classes are the network's."""
        return open_split(
            read_as(data, self.network.range, "classification"), split, "classification", self.network.classes
        )

    def train_transform(self) -> OnImage:
        """timm's random transform of the picture."""
        return OnImage(train_transform(self._augment, self.network.config))

    def eval_transform(self) -> OnImage:
        """timm's resize and centre crop of the picture."""
        return OnImage(eval_transform(self.network.config))

    @property
    def train_collate(self) -> Collate:
        """Images (B, C, h, w) and labels (B,)."""
        return stack_samples

    @property
    def eval_collate(self) -> Collate:
        """Images (B, C, h, w) and labels (B,)."""
        return stack_samples

    def mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mixup and CutMix; soft targets (B, K)."""
        return self._mixer(images, targets)

    def loss(self, model: Callable[..., Tensor], images: Tensor, targets: Tensor, seeds: Sequence[int]) -> Tensor:
        """Mean cross-entropy with soft targets (B, K)."""
        return classification_loss(model(images), targets)

    def outputs(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K), divided by the network's temperature; with mirroring, logarithms of mean probabilities."""
        if self._flip:
            return mean_log_probabilities(model, images, self.network.temperature)
        logits: Tensor = model(images)
        return logits if self.network.temperature == 1 else logits / self.network.temperature

    def meter(self, device: torch.device) -> ClassificationMeter:
        """Accuracy, confusions and mistakes."""
        return ClassificationMeter(len(self.network.classes), device, self._keep_mistakes)

    def empty_target(self, image: Image.Image) -> int:
        """Class 0; the outputs do not depend on it."""
        return 0
