"""Workloads of the models that are compared."""

from dataclasses import dataclass

import torch

from atmnet.benchmark import Workload, build_model
from benchmarks import published

PUBLISHED = "as published"
BASELINES = (
    "swin_tiny_patch4_window7_224",
    "convnext_tiny",
    "deit_small_patch16_224",
    "pvt_v2_b2",
    "poolformer_s24",
    "resnet50",
)


@dataclass(frozen=True)
class Mode:
    """How a model computes."""

    dtype: torch.dtype = torch.float32
    compiled: bool = False
    train: bool = False

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {'compiled' if self.compiled else 'eager'}"


def build_workload(
    name: str, side: int, batch: int, mode: Mode, device: torch.device, ours: str = "atmnet_tiny"
) -> Workload:
    """A timm model, or the published formulation of ``ours`` with the same weights.

    torchvision's deformable convolution has no bfloat16. So the published formulation computes in float32 on a CPU, and
    under autocast on a GPU.
    """
    torch.manual_seed(0)
    model = published.build(ours) if name == PUBLISHED else build_model(name, side)
    for key, parameter in model.named_parameters():
        if key.endswith("offset.proj.weight"):
            # About 3 tokens: initial offsets are near zero, but trained ones are not and read from farther away.
            torch.nn.init.normal_(parameter, std=3 / parameter.shape[1] ** 0.5)
    cast = name != PUBLISHED
    return Workload(
        model,
        side,
        batch,
        dtype=torch.float32 if not cast and device.type == "cpu" else mode.dtype,
        autocast=mode.train or not cast,
        train=mode.train,
        compile=mode.compiled,
        device=device,
    )
