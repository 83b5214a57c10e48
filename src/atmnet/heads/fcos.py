"""The head of FCOS, with the number of positions that its losses are averaged over."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.fcos import FCOSHead as TorchvisionHead


class FCOSHead(TorchvisionHead):
    """torchvision's FCOS head, which also counts the positions that its losses are averaged over.

    The losses are means over the foreground positions of the whole batch. The class implements
    :class:`atmnet.heads.SampleCounter`.

    Args:
        in_channels: Channels of every level of the pyramid.
        num_anchors: Anchors at each position; FCOS has 1.
        num_classes: Number of classes K, without background.
        num_convs: Number of convolutions before each prediction.

    Attributes:
        foreground: Number of foreground positions in the latest batch; a 0-dim tensor.

    Shape:
        Levels [(B, in_channels, H_i, W_i)] -> dict of ``cls_logits`` (B, N, K), ``bbox_regression`` (B, N, 4) and
        ``bbox_ctrness`` (B, N, 1), N positions of all levels.

    Examples:
        >>> from atmnet.heads import FCOSHead
        >>> head = FCOSHead(32, num_anchors=1, num_classes=3)
        >>> head([torch.randn(1, 32, 8, 8), torch.randn(1, 32, 4, 4)])["cls_logits"].shape
        torch.Size([1, 80, 3])
    """

    def __init__(self, in_channels: int, num_anchors: int, num_classes: int, num_convs: int = 4) -> None:
        super().__init__(in_channels, num_anchors, num_classes, num_convs)
        self.foreground = torch.tensor(0)

    def start(self, seeds: Sequence[int]) -> None:
        """Reset the count. The seeds are not used, since nothing here is random."""
        self.foreground = torch.tensor(0)

    def counts(self) -> dict[str, Tensor]:
        """The number of foreground positions for each loss."""
        return dict.fromkeys(("classification", "bbox_regression", "bbox_ctrness"), self.foreground)

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses of torchvision's head; counts the foreground positions on the way."""
        self.foreground = torch.stack([(index >= 0).sum() for index in matched_idxs]).sum()
        return super().compute_loss(targets, head_outputs, anchors, matched_idxs)
