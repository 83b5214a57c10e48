"""FCOS's head, which says over how many positions its losses are means."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.fcos import FCOSHead as TorchvisionHead


class FCOSHead(TorchvisionHead):
    """torchvision's head; its losses are means over the foreground positions of the whole batch.

    Attributes:
        foreground: Foreground positions of the latest batch; a 0-dim tensor.
    """

    def __init__(self, in_channels: int, num_anchors: int, num_classes: int, num_convs: int = 4) -> None:
        super().__init__(in_channels, num_anchors, num_classes, num_convs)
        self.foreground = torch.tensor(0)

    def start(self, seeds: Sequence[int]) -> None:
        """Forget the count; nothing here is drawn at random. See :class:`atmnet.heads.Counter`."""
        self.foreground = torch.tensor(0)

    def counts(self) -> dict[str, Tensor]:
        """See :class:`atmnet.heads.Counter`."""
        return dict.fromkeys(("classification", "bbox_regression", "bbox_ctrness"), self.foreground)

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        self.foreground = torch.stack([(index >= 0).sum() for index in matched_idxs]).sum()
        return super().compute_loss(targets, head_outputs, anchors, matched_idxs)
