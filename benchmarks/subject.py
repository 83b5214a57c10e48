"""A model that tools are tried on, and how the checks compare what comes of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

CLASSES = 7


@dataclass(frozen=True)
class Subject:
    """A timm model by name, and the size of its images."""

    name: str
    img_size: int = 64

    @property
    def kwargs(self) -> dict[str, Any]:
        return {"img_size": self.img_size} if self.name.startswith("swin") else {}

    def model(self, **kwargs: Any) -> nn.Module:
        """The model in evaluation mode, with weights that let every branch matter."""
        torch.manual_seed(0)
        model = timm.create_model(self.name, num_classes=CLASSES, **self.kwargs, **kwargs).eval()
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        return model

    def images(self, batch: int = 1) -> Tensor:
        return torch.randn(batch, 3, self.img_size, self.img_size, generator=torch.Generator().manual_seed(1))


def linears(model: nn.Module) -> list[str]:
    """Names of all Linears but the classifier."""
    return [
        name for name, module in model.named_modules() if type(module) is nn.Linear and module.out_features != CLASSES
    ]


@torch.no_grad()
def same(model: Callable[[Tensor], Any], other: Callable[[Tensor], Any], x: Tensor, tolerance: float = 0.0) -> None:
    """Raise unless both give the same: bit for bit, or within a relative error of the norm."""
    expected, got = model(x).float(), other(x).float()
    error = ((got - expected).norm() / expected.norm()).item()
    if not error <= tolerance:
        raise AssertionError(f"relative error {error:.0e}, expected at most {tolerance:.0e}")


def train_step(model: Callable[[Tensor], Tensor], parameters: dict[str, nn.Parameter], x: Tensor) -> None:
    """Raise unless every trainable parameter gets a gradient that is not all zero."""
    model(x).float().square().mean().backward()
    dead = [n for n, p in parameters.items() if p.requires_grad and (p.grad is None or not p.grad.any())]
    if dead:
        raise AssertionError(f"{len(dead)} parameters without gradient, the first {dead[0]}")
