"""ATMNet, the four-stage backbone of "Active Token Mixer" (AAAI 2023, arXiv 2203.06108), as a timm model.

Shapes: B images, H x W pixels or tokens, C channels. Images are channels first, tokens channels last.
"""

import math
from typing import Any, Optional, Union, cast

import torch
from timm.layers import ClassifierHead, calculate_drop_path_rates, get_device_dtype, trunc_normal_
from timm.models._features import feature_take_indices
from torch import Tensor, nn
from torch.types import Device

from atmnet.layers import Downsample, OffsetGroup, PatchEmbed, Stage
from atmnet.layers.factory import FactoryOptions
from atmnet.models._checkpoint import read_any_layout


class ATMNet(nn.Module):
    """The ATMNet backbone (arXiv 2203.06108), usually built by ``timm.create_model``, which passes these arguments on.

    Args:
        depths: Number of blocks of each stage; at least 2.
        dims: Channels of each stage.
        mlp_ratios: Hidden channels of the MLPs of each stage, as multiples of its channels.
        shares: Number of consecutive channels that share an offset, for each stage.
        interval: Offsets are predicted every ``interval`` blocks of a stage, but never for its last block alone.
        num_classes: Outputs of the classifier; 0 for no classifier.
        in_chans: Channels of the image.
        global_pool: Pooling before the classifier, as named by timm's ``SelectAdaptivePool2d``; '' for none.
        drop_rate: Dropout rate before the classifier.
        drop_path_rate: Stochastic depth rate of the last block; it grows linearly from 0 over all blocks.
        output_stride: Stride of the last map: 32, or 16 or 8 for dense prediction. The stages beyond it keep the
            resolution; they dilate their convolutions and offsets, so that trained weights read at the same distances.
        stage_norms: Whether each stage's feature map has its own LayerNorm, for dense prediction. Only
            ``forward_intermediates(norm=True)`` and ``features_only`` use them; classification does not.

    Shape:
        Image (B, in_chans, H, W), any H, W >= 3 -> logits (B, num_classes).

    Raises:
        ValueError: If a stage has fewer than 2 blocks, or channels that its share does not divide; or for another
            ``output_stride``.

    Examples:
        >>> model = timm.create_model("atmnet_tiny", num_classes=10)
    """

    output_fmt = "NHWC"

    def __init__(
        self,
        depths: tuple[int, ...] = (2, 3, 10, 3),
        dims: tuple[int, ...] = (64, 128, 320, 512),
        mlp_ratios: tuple[float, ...] = (4, 4, 4, 4),
        shares: tuple[int, ...] = (2, 4, 4, 8),
        interval: int = 2,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        output_stride: int = 32,
        stage_norms: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dd = FactoryOptions(device=device, dtype=dtype)
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride: got {output_stride}, expected 8, 16 or 32")
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.interval = interval
        self.num_features = self.head_hidden_size = dims[-1]

        self.patch_embed = PatchEmbed(in_chans, dims[0], **dd)
        rates = cast(list[list[float]], calculate_drop_path_rates(drop_path_rate, list(depths), stagewise=True))
        strides = [min(4 * 2**i, output_stride) for i in range(len(dims))]
        stages = []
        for i, dim in enumerate(dims):
            downsample = None
            if i > 0:
                stride, dilation = strides[i] // strides[i - 1], 4 * 2 ** (i - 1) // strides[i - 1]
                downsample = Downsample(dims[i - 1], dim, stride=stride, dilation=dilation, **dd)
            stages.append(
                Stage(
                    dim,
                    depths[i],
                    share=shares[i],
                    interval=interval,
                    mlp_ratio=mlp_ratios[i],
                    drop_path=rates[i],
                    dilation=4 * 2**i // strides[i],
                    downsample=downsample,
                    **dd,
                )
            )
        self.stages = nn.Sequential(*stages)
        self.feature_info = [
            {"num_chs": dim, "reduction": strides[i], "module": f"stages.{i}"} for i, dim in enumerate(dims)
        ]
        self.stage_norms = nn.ModuleList([nn.LayerNorm(dim, **dd) for dim in dims if stage_norms])
        self.norm: nn.Module = nn.LayerNorm(dims[-1], **dd)
        self.head = ClassifierHead(dims[-1], num_classes, global_pool, drop_rate, input_fmt="NHWC", **dd)

        self.init_weights()
        self.register_load_state_dict_pre_hook(read_any_layout)

    @torch.jit.ignore
    def init_weights(self) -> None:
        """Initialise as published: Linear truncated normal 0.02, convolutions by fan-out, biases 0, norms 1 and 0."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
            elif isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm) and module.bias is not None:
                nn.init.zeros_(module.bias)

    @torch.jit.ignore
    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay in addition to the 1-D ones: the position encodings."""
        return {name for name, _ in self.named_parameters() if ".pos_embed." in name}

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layer groups for layer-wise learning rate decay: by stage if ``coarse``, else by block."""
        if coarse:
            return {"stem": r"^patch_embed", "blocks": [(r"^stages\.(\d+)", None), (r"^norm|^stage_norms", (99999,))]}
        return {
            "stem": r"^patch_embed",
            "blocks": [
                (r"^stages\.(\d+)\.(?:downsample|pos_embed)", (0,)),
                (r"^stages\.(\d+)\.groups\.(\d+)\.offset", (0,)),
                (r"^stages\.(\d+)\.groups\.(\d+)\.blocks\.(\d+)", None),
                (r"^norm|^stage_norms", (99999,)),
            ],
        }

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations inside blocks in the backward pass instead of storing them."""
        for module in self.modules():
            if isinstance(module, OffsetGroup):
                module.grad_checkpointing = enable

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        """The final Linear; an Identity if ``num_classes`` is 0."""
        return cast(nn.Module, self.head.fc)

    def reset_classifier(self, num_classes: int, global_pool: Optional[str] = None) -> None:
        """Replace the classifier by a new one of ``num_classes``; keep the pooling if ``global_pool`` is None."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool, **get_device_dtype(self))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: Optional[Union[int, list[int]]] = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Union[list[Tensor], tuple[Tensor, list[Tensor]]]:
        """Feature maps of the stages, at strides 4, 8, 16 and 32, or the output stride where that is less.

        Args:
            x: Image (B, in_chans, H, W).
            indices: Indices of the stages, or an int n for the last n stages; None for all.
            norm: Whether to normalise the maps by the ``stage_norms``, or without these the last map by the final norm.
            stop_early: Whether to skip the stages after the last one in ``indices``.
            output_fmt: 'NCHW' or 'NHWC'.
            intermediates_only: Whether to return only the maps, not (final tokens, maps).

        Raises:
            ValueError: If ``output_fmt`` is neither of the two.
        """
        if output_fmt not in ("NCHW", "NHWC"):
            raise ValueError(f"output_fmt: got {output_fmt}, expected NCHW or NHWC")
        take, last = feature_take_indices(len(self.stages), indices)

        x = self.patch_embed(x)
        maps = []
        if torch.jit.is_scripting() or not stop_early:  # TorchScript cannot slice the stages
            stages = self.stages
        else:
            stages = self.stages[: last + 1]
        for i, stage in enumerate(stages):
            x = stage(x)
            if i in take:
                maps.append(self._normalize(x, i) if norm else x)
        if output_fmt == "NCHW":
            maps = [y.permute(0, 3, 1, 2) for y in maps]
        if intermediates_only:
            return maps
        return self.norm(x), maps

    def _normalize(self, x: Tensor, index: int) -> Tensor:
        for i, layer in enumerate(self.stage_norms):
            if i == index:
                x = layer(x)
        if len(self.stage_norms) == 0 and index == len(self.stages) - 1:
            x = self.norm(x)
        return x

    def prune_intermediate_layers(
        self, indices: Union[int, list[int]] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the layers that the feature maps at ``indices`` do not need; return the non-negative indices."""
        take, last = feature_take_indices(len(self.stages), indices)
        shortened = last < len(self.stages) - 1
        self.stages = self.stages[: last + 1]
        if shortened:
            self.num_features = self.head_hidden_size = self.feature_info[last]["num_chs"]
        if prune_norm or shortened or len(self.stage_norms):
            self.norm = nn.Identity()
        for i in range(len(self.stage_norms)):
            if prune_norm or i not in take:
                self.stage_norms[i] = nn.Identity()
        if prune_head or shortened:
            self.reset_classifier(0, "")
        return take

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, in_chans, H, W) -> normalised tokens of the last stage (B, H/32, W/32, C)."""
        return self.norm(self.stages(self.patch_embed(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Tokens (B, H, W, C) -> logits (B, num_classes), or the pooled features if ``pre_logits``."""
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))
