"""ATMNet and ATMFPN for OpenMMLab: importing this module registers both with mmengine.

They are in the root registry, the parent of those of mmsegmentation, mmdetection and other packages. In a config:

    custom_imports = dict(imports=["atmnet.integrations.mmengine"])
    model = dict(
        backbone=dict(type="ATMNet", name="atmnet_tiny", init_cfg=dict(type="Pretrained", checkpoint="FILE")),
        neck=dict(type="ATMFPN", in_channels=[64, 128, 320, 512], out_channels=256, num_outs=5),
        ...)
"""

from collections.abc import Sequence
from typing import Any

import timm
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from atmnet import necks
from atmnet_cli.errors import UserError, first_line

__all__ = ["ATMFPN", "ATMNet"]

#: The input of the first extra level.
_SOURCES = ("on_input", "on_output")


@MODELS.register_module()
class ATMNet(BaseModule):
    """An ATMNet that returns the maps of its stages.

    Args:
        name: Name of one of our models in timm.
        out_indices: Stages whose maps are returned, 0 to 3; later stages are not built.
        drop_path: Stochastic depth rate of the last block.
        stage_norms: Normalise each map by its own LayerNorm, as in the authors' segmenters.
        in_channels: Channels of the image.
        with_cp: Recompute blocks in the backward pass, to save memory.
        pretrained: Weights of a classifier to start from: the authors' file, a timm file, or a folder of a run.
            Default: random weights.
        init_cfg: See mmengine. ``dict(type="Pretrained", checkpoint=...)`` takes the same files as
            ``pretrained``; with a ``prefix``, it takes files that mmengine saved. Default: the initialisation of timm.

    Shape:
        Image (B, in_channels, H, W) -> tuple of (B, C_i, H/s, W/s), s = 4, 8, 16, 32. ``channels`` lists the C_i.

    Raises:
        UserError: For a name that is not one of our models, and in ``init_weights`` for a file that does not fit.
        ValueError: If the arguments name several files of weights.

    Examples:
        >>> backbone = MODELS.build(dict(type="ATMNet", name="atmnet_nano", out_indices=(2, 3)))
        >>> import torch
        >>> [tuple(each.shape) for each in backbone(torch.randn(1, 3, 64, 64))]
        [(1, 96, 4, 4), (1, 128, 2, 2)]
    """

    def __init__(
        self,
        name: str = "atmnet_tiny",
        out_indices: Sequence[int] = (0, 1, 2, 3),
        drop_path: float = 0.0,
        stage_norms: bool = True,
        in_channels: int = 3,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        # mmengine's reader knows neither the authors' parameter names nor their averaged weights.
        configs = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or ())
        weights = [config for config in configs if config["type"] == "Pretrained" and not config.get("prefix")]
        files = [config["checkpoint"] for config in weights] + ([pretrained] if pretrained else [])
        if len(files) > 1:
            raise ValueError(f"pretrained, init_cfg: got the weights {' and '.join(files)}; give one of them")
        super().__init__([config for config in configs if config not in weights] or None)
        names = timm.list_models("atmnet_*")
        if name.partition(".")[0] not in names:
            raise UserError(f"name: got {name!r}, expected one of {', '.join(names)}")
        self.pretrained = files[0] if files else None
        maps: Any = timm.create_model(
            name,
            features_only=True,
            out_indices=tuple(out_indices),
            drop_path_rate=drop_path,
            stage_norms=stage_norms,
            in_chans=in_channels,
        )
        maps.set_grad_checkpointing(with_cp)
        self.maps = maps
        self.channels: list[int] = maps.feature_info.channels()

    def init_weights(self) -> None:
        """Read the weights that the configuration names; if it names none, the initial weights stay."""
        first_call = not self.is_init
        super().init_weights()
        if self.pretrained and first_call:
            self._read(self.pretrained)

    def _read(self, path: str) -> None:
        from atmnet.tasks.weights import read_weights

        weights, _ = read_weights(path)
        try:
            self.maps.load_state_dict(weights)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{path}: not weights of this backbone: {first_line(error)}") from error

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.maps(image))


@MODELS.register_module()
class ATMFPN(BaseModule):
    """:class:`atmnet.necks.ATMFPN` with the arguments of OpenMMLab's ``FPN``.

    Args:
        in_channels: Channels of each map of the backbone, finest first.
        out_channels: Channels of every level.
        num_outs: Number of levels. Those beyond the maps are extra, each half as large as the one before.
        start_level: First map to use.
        end_level: Last map to use, inclusive; -1 for the last one.
        add_extra_convs: Extra levels by 3x3 convolutions, the first from the last map used ('on_input' or True)
            or from the last level ('on_output'); False takes every other token of the last level.
        relu_before_extra_convs: Apply ReLU before each of these convolutions but the first.
        align: Sample the coarser level at predicted offsets; see :class:`atmnet.necks.ATMFPN`.
        share: Consecutive channels that share an offset.
        init_cfg: See mmengine. Default: the initialisation of :class:`atmnet.necks.ATMFPN`.

    Shape:
        Maps (B, C_i, H_i, W_i), as many as ``in_channels`` -> tuple of ``num_outs`` maps (B, out_channels, H_i, W_i).

    Raises:
        ValueError: If the numbers of levels contradict each other, or the forward gets another number of maps.

    Examples:
        >>> neck = MODELS.build(dict(type="ATMFPN", in_channels=[64, 128], out_channels=32, num_outs=3))
        >>> import torch
        >>> [tuple(level.shape) for level in neck([torch.randn(1, 64, 8, 8), torch.randn(1, 128, 4, 4)])]
        [(1, 32, 8, 8), (1, 32, 4, 4), (1, 32, 2, 2)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool | str = False,
        relu_before_extra_convs: bool = False,
        align: bool = False,
        share: int = 4,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        last = len(in_channels) - 1 if end_level == -1 else end_level
        if not 0 <= start_level <= last < len(in_channels):
            raise ValueError(f"start_level, end_level: got {start_level}, {end_level} for {len(in_channels)} maps")
        extra = num_outs - (last + 1 - start_level)
        if extra < 0 or (extra and last < len(in_channels) - 1):
            raise ValueError(
                f"num_outs: got {num_outs}, expected {last + 1 - start_level} for maps {start_level} to {last}"
                + (" or more" if last == len(in_channels) - 1 else "; extra levels need end_level=-1")
            )
        source = "on_input" if add_extra_convs is True else add_extra_convs
        if source and source not in _SOURCES:
            raise ValueError(
                f"add_extra_convs: got {add_extra_convs!r}, expected a bool or one of {', '.join(_SOURCES)}"
            )
        self.num_maps, self.extra, self.source = len(in_channels), extra, source
        self.used = slice(start_level, last + 1)
        self.relu_before_extra_convs = relu_before_extra_convs
        self.pyramid = necks.ATMFPN(list(in_channels[self.used]), out_channels, align=align, share=share)
        widths = [in_channels[last] if source == "on_input" else out_channels] + [out_channels] * extra
        self.extra_convs = nn.ModuleList(
            [nn.Conv2d(width, out_channels, 3, stride=2, padding=1) for width in widths[: extra if source else 0]]
        )
        for parameter in self.extra_convs.parameters():  # initialised like the lateral convolutions
            if parameter.ndim > 1:
                nn.init.kaiming_uniform_(parameter, a=1)
            else:
                nn.init.zeros_(parameter)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if len(inputs) != self.num_maps:
            raise ValueError(f"inputs: got {len(inputs)} maps, expected {self.num_maps}, one for each of in_channels")
        levels = list(self.pyramid({str(i): x for i, x in enumerate(inputs[self.used])}).values())
        if not self.source:
            for _ in range(self.extra):
                levels.append(F.max_pool2d(levels[-1], 1, stride=2))
        for i, convolution in enumerate(self.extra_convs):
            x = inputs[-1] if i == 0 and self.source == "on_input" else levels[-1]
            levels.append(convolution(F.relu(x) if i and self.relu_before_extra_convs else x))
        return tuple(levels)
