"""Families of backbones at the size of atmnet_nano, as timm models, for the study of docs/evidence.md.

``ATMNET_MODULES=benchmarks.families`` makes them known to atmnet's commands. Each is a class of timm with other widths
and depths: for images of 64 pixels and two classes, parameters and multiply-accumulates are within 10 % of
atmnet_nano's. family_mixer is the exception: its tokens have one size throughout, and with 1.12 times as many
multiply-accumulates it has 0.36 times the parameters.
"""

from collections.abc import Callable
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.convnext import ConvNeXt
from timm.models.mambaout import MambaOut
from timm.models.metaformer import MetaFormer
from timm.models.mlp_mixer import MlpMixer
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from torch import nn

#: Family -> class, arguments, and the names of its first layer and classifier.
FAMILIES: dict[str, tuple[Callable[..., nn.Module], dict[str, Any], tuple[str, str]]] = {
    "resnet": (ResNet, {"block": BasicBlock, "layers": (1, 1, 1, 1), "channels": (20, 48, 160, 176)}, ("conv1", "fc")),
    "convnext": (ConvNeXt, {"depths": (2, 2, 3, 2), "dims": (40, 80, 96, 176)}, ("stem.0", "head.fc")),
    "swin": (
        SwinTransformer,
        {"depths": (4, 2, 2, 1), "embed_dim": 26, "num_heads": (1, 2, 4, 8), "window_size": 4},
        ("patch_embed.proj", "head.fc"),
    ),
    "pvt_v2": (
        PyramidVisionTransformerV2,
        {
            "depths": (1, 2, 2, 1),
            "embed_dims": (40, 48, 80, 160),
            "num_heads": (1, 2, 4, 8),
            "mlp_ratios": (8, 8, 4, 4),
        },
        ("patch_embed.proj", "head"),
    ),
    "poolformer": (
        MetaFormer,
        {"depths": (2, 2, 3, 2), "dims": (32, 64, 144, 112), "use_mlp_head": False},
        ("stem.conv", "head.fc"),
    ),
    "mixer": (MlpMixer, {"patch_size": 8, "num_blocks": 8, "embed_dim": 72}, ("stem.proj", "head")),
    "mambaout": (MambaOut, {"depths": (2, 2, 2, 1), "dims": (40, 64, 112, 176)}, ("stem.conv1", "head.fc")),
}
#: Families whose weights depend on the image's size, which they take as ``img_size``.
SIZED = ("swin", "mixer")


def configuration(first: str, classifier: str, fixed_input_size: bool = False) -> dict[str, Any]:
    """timm's configuration of a model for images of 64 pixels, seen whole.

    Args:
        first: The name of its first convolution.
        classifier: The name of its classifier.
        fixed_input_size: Whether its weights depend on the size.
    """
    return {
        "input_size": (3, 64, 64), "crop_pct": 1.0, "interpolation": "bicubic", "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225), "first_conv": first, "classifier": classifier,
        "fixed_input_size": fixed_input_size,
    }  # fmt: skip


default_cfgs = generate_default_cfgs(
    {f"family_{family}": configuration(*names, family in SIZED) for family, (_, _, names) in FAMILIES.items()}
)


def _register(family: str) -> None:
    cls, arguments, _ = FAMILIES[family]
    defaults = {**arguments, **({"img_size": 64} if family in SIZED else {})}

    def create(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        model: nn.Module = build_model_with_cfg(cls, f"family_{family}", pretrained, **{**defaults, **kwargs})
        return model

    create.__name__ = f"family_{family}"
    register_model(create)


for _family in FAMILIES:
    _register(_family)
