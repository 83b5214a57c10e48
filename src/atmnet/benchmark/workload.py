"""A model with a batch of random images, ready to be called."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.benchmark.memory import peak_bytes, saved_bytes


class Workload:
    """One call is a forward pass or, with ``train``, a whole training step: forward, backward, AdamW.

    Args:
        model: Maps images (B, 3, H, W) to logits (B, classes). It is moved, cast and set to training or evaluation mode
            in place.
        img_size: Side of the square images, in pixels.
        batch_size: Images per call.
        dtype: Dtype of the computation.
        autocast: Whether to keep the model in float32 and use autocast, instead of casting the model. Default: the
            value of ``train``.
        train: Whether a call is a training step.
        compile: Whether to compile the model by torch.compile, with static shapes.
        device: Device to compute on.
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
        uses_autocast = (train if autocast is None else autocast) and dtype != torch.float32
        self._autocast_dtype = dtype if uses_autocast else None
        model_dtype = torch.float32 if uses_autocast else dtype
        self.model = model.train(train).to(self.device, model_dtype)
        self.images = torch.randn(batch_size, 3, img_size, img_size, device=self.device).to(model_dtype)
        self._run: Callable[[Tensor], Tensor] = torch.compile(self.model, dynamic=False) if compile else self.model
        if train:
            self._targets = torch.arange(batch_size, device=self.device) % 2
            # The learning rate barely changes the weights, so that every step does the same work.
            self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-7)

    def __call__(self) -> None:
        if self.train:
            F.cross_entropy(self._forward().float(), self._targets).backward()
            self._optimizer.step()
            self._optimizer.zero_grad()  # at the end, so that the gradients count in the memory of the step
        else:
            with torch.inference_mode():
                self._forward()

    def peak_bytes(self) -> int:
        """The most bytes that a call has allocated at any time, beyond weights, images and the optimiser's state."""
        return peak_bytes(self, self.device)

    def saved_bytes(self) -> int:
        """Bytes that a forward pass saves for the backward pass, in addition to the weights."""
        return saved_bytes(self._forward, self.model)

    def _forward(self) -> Tensor:
        dtype = self._autocast_dtype
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            return self._run(self.images)
