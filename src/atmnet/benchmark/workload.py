"""A model with a batch to work on, ready to be called."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.benchmark.memory import peak_bytes, saved_bytes


class Workload:
    """One call is a forward pass, or with ``train`` a whole step: forward, backward, AdamW.

    Args:
        model: Takes images (B, 3, H, W), gives logits (B, classes). Is moved, cast and put into its mode.
        img_size: Side of the square images, in pixels.
        batch_size: Images in a call.
        dtype: What to compute in.
        autocast: How: leave the model in float32 and let autocast choose, or (false) cast the model. Default: autocast
            in training, cast otherwise.
        train: A training step rather than a forward pass.
        compile: By torch.compile, for these very shapes.
        device: Where.
    """

    def __init__(
        self,
        model: nn.Module,
        img_size: int,
        batch_size: int,
        *,
        dtype: torch.dtype = torch.float32,
        autocast: bool | None = None,
        train: bool = False,
        compile: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.train = train
        mixed = (train if autocast is None else autocast) and dtype != torch.float32
        self._autocast_dtype = dtype if mixed else None
        kept = torch.float32 if mixed else dtype
        self.model = model.train(train).to(self.device, kept)
        self.images = torch.randn(batch_size, 3, img_size, img_size, device=self.device).to(kept)
        self._run: Any = torch.compile(self.model, dynamic=False) if compile else self.model
        if train:
            self._targets = torch.arange(batch_size, device=self.device) % 2
            # A rate that leaves the weights about where they are: every step does the same work.
            self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-7)

    def __call__(self) -> None:
        if self.train:
            F.cross_entropy(self._forward().float(), self._targets).backward()
            self._optimizer.step()
            self._optimizer.zero_grad()  # here, so that a step's own gradients count in its memory
        else:
            with torch.inference_mode():
                self._forward()

    def peak_bytes(self) -> int:
        """Most bytes that a call holds at once, beyond weights, images and the optimiser's state."""
        return peak_bytes(self, self.device)

    def saved_bytes(self) -> int:
        """Bytes that a forward pass keeps for the backward pass, beyond the weights."""
        return saved_bytes(self._forward, self.model)

    def _forward(self) -> Tensor:
        dtype = self._autocast_dtype
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            return self._run(self.images)
