"""The ATMNet variants, registered with timm: the paper's five, and one of ours for small images."""

from typing import Any

from timm.models import PretrainedCfg, build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from atmnet.models._checkpoint import filter_pretrained
from atmnet.models._features import FeatureMaps
from atmnet.models.atmnet import ATMNet
from atmnet.models.store import OFFICIAL_WEIGHTS, full_name, weights_source


def _cfg(**kwargs: Any) -> dict[str, Any]:
    return {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "min_input_size": (3, 32, 32),
        "pool_size": (7, 7),
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "patch_embed.proj",
        "classifier": "head.fc",
        "paper_ids": "arXiv:2203.06108",
        "paper_name": "Active Token Mixer",
        "origin_url": OFFICIAL_WEIGHTS,
        **kwargs,
    }


_384 = {"input_size": (3, 384, 384), "pool_size": (12, 12), "crop_pct": 1.0}
#: The backbone of a segmenter, with a norm for each stage (``stage_norms=True``) and without a classifier.
_ADE20K = {"input_size": (3, 512, 512), "pool_size": (16, 16), "num_classes": 0}
_DIGITS: dict[str, Any] = {
    "input_size": (3, 32, 32),
    "pool_size": (1, 1),
    "num_classes": 10,
    "label_names": tuple("0123456789"),
    "origin_url": None,
}
_VARIANTS = ("xtiny", "tiny", "small", "base", "large")

default_cfgs = generate_default_cfgs(
    {
        "atmnet_nano.digits": _cfg(**_DIGITS),
        **{f"atmnet_{variant}.in1k": _cfg() for variant in _VARIANTS},
        **{f"atmnet_{variant}.in1k_384": _cfg(**_384) for variant in _VARIANTS},
        **{f"atmnet_{variant}.ade20k_{head}": _cfg(**_ADE20K) for variant in _VARIANTS for head in ("fpn", "upernet")},
    }
)


def _create(variant: str, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    if pretrained and (name := _weights_to_find(variant, kwargs)) is not None:
        overlay = kwargs.get("pretrained_cfg_overlay") or {}
        kwargs["pretrained_cfg_overlay"] = {**overlay, **weights_source(name)}
    features: dict[str, Any] = {"out_indices": (0, 1, 2, 3), "feature_cls": FeatureMaps}
    if kwargs.get("stage_norms"):
        features["norm"] = True
    return build_model_with_cfg(
        ATMNet, variant, pretrained, feature_cfg=features, pretrained_filter_fn=filter_pretrained, **kwargs
    )


def _weights_to_find(variant: str, kwargs: dict[str, Any]) -> str | None:
    """The name of the weights to look for in the store; None if the caller's configuration says where they are."""
    config = kwargs.get("pretrained_cfg")
    if isinstance(config, str):  # the tag of a registered configuration
        config = {"tag": config}
    elif isinstance(config, PretrainedCfg):
        config = config.to_dict()
    sources: list[dict[str, Any]] = [kwargs.get("pretrained_cfg_overlay") or {}, config or {}]
    if any(source.get(key) for source in sources for key in ("file", "state_dict", "url", "hf_hub_id")):
        return None
    tags = [source["tag"] for source in sources if source.get("tag")]
    return f"{variant}.{tags[0]}" if tags else full_name(variant)


@register_model
def atmnet_xtiny(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """15.3 M parameters, 2.2 GMACs at 224; 79.7 % ImageNet-1K top-1 as published.

    Args:
        pretrained: Whether to load weights, by the tag in the name; see docs/models.md.
        kwargs: Arguments of :class:`ATMNet` and of timm, such as ``num_classes``, ``in_chans`` or ``features_only``.

    Returns:
        An :class:`ATMNet`, or timm's wrapper of one if ``features_only``.

    Examples:
        >>> model = timm.create_model("atmnet_xtiny", num_classes=5, device="meta")
        >>> model.num_classes, model.num_features
        (5, 512)
    """
    args = {"depths": (2, 2, 4, 2), "dims": (64, 128, 320, 512), "mlp_ratios": (4, 4, 4, 4), "interval": 2}
    return _create("atmnet_xtiny", pretrained, **{**args, **kwargs})


@register_model
def atmnet_tiny(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """27.2 M parameters, 4.0 GMACs at 224; 82.0 % ImageNet-1K top-1 as published.

    Args:
        pretrained: Whether to load weights, by the tag in the name; see docs/models.md.
        kwargs: Arguments of :class:`ATMNet` and of timm, such as ``num_classes``, ``in_chans`` or ``features_only``.

    Returns:
        An :class:`ATMNet`, or timm's wrapper of one if ``features_only``.

    Examples:
        >>> model = timm.create_model("atmnet_tiny", num_classes=5, device="meta")
        >>> model.num_classes, model.num_features
        (5, 512)
    """
    args = {"depths": (2, 3, 10, 3), "dims": (64, 128, 320, 512), "mlp_ratios": (4, 4, 4, 4), "interval": 2}
    return _create("atmnet_tiny", pretrained, **{**args, **kwargs})


@register_model
def atmnet_small(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """38.6 M parameters, 6.9 GMACs at 224; 83.1 % ImageNet-1K top-1 as published.

    Args:
        pretrained: Whether to load weights, by the tag in the name; see docs/models.md.
        kwargs: Arguments of :class:`ATMNet` and of timm, such as ``num_classes``, ``in_chans`` or ``features_only``.

    Returns:
        An :class:`ATMNet`, or timm's wrapper of one if ``features_only``.

    Examples:
        >>> model = timm.create_model("atmnet_small", num_classes=5, device="meta")
        >>> model.num_classes, model.num_features
        (5, 512)
    """
    args = {"depths": (3, 4, 18, 3), "dims": (64, 128, 320, 512), "mlp_ratios": (8, 8, 4, 4), "interval": 6}
    return _create("atmnet_small", pretrained, **{**args, **kwargs})


@register_model
def atmnet_base(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """52.2 M parameters, 10.1 GMACs at 224; 83.5 % ImageNet-1K top-1 as published.

    Args:
        pretrained: Whether to load weights, by the tag in the name; see docs/models.md.
        kwargs: Arguments of :class:`ATMNet` and of timm, such as ``num_classes``, ``in_chans`` or ``features_only``.

    Returns:
        An :class:`ATMNet`, or timm's wrapper of one if ``features_only``.

    Examples:
        >>> model = timm.create_model("atmnet_base", num_classes=5, device="meta")
        >>> model.num_classes, model.num_features
        (5, 512)
    """
    args = {"depths": (3, 8, 27, 3), "dims": (64, 128, 320, 512), "mlp_ratios": (8, 8, 4, 4), "interval": 6}
    return _create("atmnet_base", pretrained, **{**args, **kwargs})


@register_model
def atmnet_large(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """76.2 M parameters, 12.3 GMACs at 224; 83.8 % ImageNet-1K top-1 as published.

    Args:
        pretrained: Whether to load weights, by the tag in the name; see docs/models.md.
        kwargs: Arguments of :class:`ATMNet` and of timm, such as ``num_classes``, ``in_chans`` or ``features_only``.

    Returns:
        An :class:`ATMNet`, or timm's wrapper of one if ``features_only``.

    Examples:
        >>> model = timm.create_model("atmnet_large", num_classes=5, device="meta")
        >>> model.num_classes, model.num_features
        (5, 768)
    """
    args = {"depths": (3, 4, 24, 3), "dims": (96, 192, 384, 768), "mlp_ratios": (4, 4, 4, 4), "interval": 6}
    return _create("atmnet_large", pretrained, **{**args, **kwargs})


@register_model
def atmnet_nano(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """1.0 M parameters, for images of 32 to 64 pixels and for tests; not in the paper.

    Args:
        pretrained: Whether to load weights, by the tag in the name; see docs/models.md.
        kwargs: Arguments of :class:`ATMNet` and of timm, such as ``num_classes``, ``in_chans`` or ``features_only``.

    Returns:
        An :class:`ATMNet`, or timm's wrapper of one if ``features_only``.

    Examples:
        >>> model = timm.create_model("atmnet_nano", num_classes=5, device="meta")
        >>> model.num_classes, model.num_features
        (5, 128)
    """
    args = {"depths": (2, 2, 2, 2), "dims": (32, 64, 96, 128), "mlp_ratios": (4, 4, 4, 4), "interval": 2}
    return _create("atmnet_nano", pretrained, **{**args, **kwargs})
