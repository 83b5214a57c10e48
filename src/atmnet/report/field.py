"""The offsets of one group of blocks for one image, and a selection of them that is small enough to embed.

Shapes: H x W tokens, G share groups, A = 2 axes (0 the width, 1 the height). The page shows the offsets of R x Q query
tokens and N groups. K = 3 branches of the fusion: width, height, and the token itself.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from atmnet.models.atmnet import ATMNet
from atmnet.models.looks import Look, Mixing, sampling_places
from atmnet.report.drawing import NAN_CODE, OFFSET_CODES

_MAX_GROUPS = 24
_MIN_GROUPS = 8
_MAX_QUERIES_PER_AXIS = 32
_MAX_BYTES = 8_192
"""Maximum size of a packed field, unless ``_MIN_GROUPS`` groups take more."""
_MAX_EXACT = 250_000
"""Maximum number of offsets of an exact field, unless a single group has more."""

_NECK = {"layer_blocks": "Neck", "top_down": "Alignment"}
"""What the page calls the parts of an ATMFPN that sample tokens; they are numbered in their order there."""


class Fusion(NamedTuple):
    """How much of what a block samples reaches its tokens; see :class:`~atmnet.models.looks.BlockMixing`.

    Attributes:
        weights: (K, G) means over the channels of each share group.
        kept: Share of the residual connection.
    """

    weights: Tensor
    kept: float


@dataclass(frozen=True, eq=False)
class Field:
    """The offsets of one group of blocks for one image.

    Attributes:
        stage: Name of the stage, e.g. "Stage 3".
        blocks: Blocks that use these offsets, e.g. "blocks 1–2"; empty if all blocks of the stage do.
        offsets: (A, H, W, G) in tokens.
        exact: Whether the page gets the offsets of every token in float32, rather than a selection in 8 bits. Of large
            grids, it still gets only some of the groups.
        fusions: The fusion of each block; empty if it is not known, or for a layer outside of the backbone's blocks.
        name: Name of the module that predicts the offsets, e.g. ``stages.2.groups.0.offset``.
    """

    stage: str
    blocks: str
    offsets: Tensor
    exact: bool = False
    fusions: Sequence[Fusion] = ()
    name: str = ""

    @property
    def height(self) -> int:
        return self.offsets.size(1)

    @property
    def width(self) -> int:
        return self.offsets.size(2)

    @property
    def size(self) -> str:
        """Columns and rows as text."""
        return f"{self.width}\u200a×\u200a{self.height}"

    @property
    def groups(self) -> int:
        return self.offsets.size(3)

    @property
    def is_single_token(self) -> bool:
        """Whether the grid is a single token."""
        return self.height == self.width == 1

    @property
    def step(self) -> int:
        """Distance between neighbouring query tokens along both axes, in tokens."""
        return 1 if self.exact else -(-max(self.height, self.width) // _MAX_QUERIES_PER_AXIS)

    def queries(self, axis: int) -> Tensor:
        """Indices of the query tokens along ``axis``."""
        length = self.offsets.size(2 - axis)
        return torch.arange(self.step // 2, length + self.step // 2, self.step).clamp(max=length - 1)

    @cached_property
    def drawn_groups(self) -> Tensor:
        """(N,): indices of the groups that the page can draw: all, or evenly spaced ones if these are too many."""
        if self.exact:
            count = max(1, _MAX_EXACT // (2 * self.height * self.width))
        else:
            queries = len(self.queries(1)) * len(self.queries(0))
            count = min(_MAX_GROUPS, max(_MIN_GROUPS, _MAX_BYTES // (2 * queries)))
        return torch.linspace(0, self.groups - 1, min(self.groups, count)).round().long()

    @cached_property
    def drawn(self) -> Tensor:
        """(R, Q, A, N): the offsets that the page can draw, those of the query tokens and :attr:`drawn_groups`."""
        rows, columns = self.queries(1), self.queries(0)
        return self.offsets[:, rows][:, :, columns][..., self.drawn_groups].permute(1, 2, 0, 3)

    @cached_property
    def weights(self) -> Tensor:
        """(K, G) fusion weights as means over the blocks; equal ones if the fusion is not known."""
        if not self.fusions:
            return torch.full((3, self.groups), 1 / 3)
        return torch.stack([fusion.weights for fusion in self.fusions]).mean(0)

    def nearest_query(self, x: float, y: float) -> tuple[int, int]:
        """Row and column, among the query tokens, of the one at (x, y), fractions of the image's sides."""
        rows, columns = self.drawn.shape[:2]
        return min(int(y * self.height) // self.step, rows - 1), min(int(x * self.width) // self.step, columns - 1)

    def packed(self) -> dict[str, Any]:
        """The field as JSON values. An offset o is a little-endian float32 if the field is exact. Else it is a signed
        byte q, and o = sign(q) (q / 127)^2 scale: the square makes short offsets more precise than long ones.
        """
        rows, columns, _, count = self.drawn.shape
        size = {"w": self.width, "h": self.height, "columns": columns, "rows": rows, "step": self.step, "n": count}
        if self.exact:
            floats = base64.b64encode(self.drawn.numpy().astype("<f4").tobytes()).decode()
            return {**size, "floats": floats, "fusions": [self._packed_fusion(fusion) for fusion in self.fusions]}
        limit = max(self.height, self.width) + 1.0  # places farther away are drawn at the margin anyway
        values = self.drawn.clamp(-limit, limit).double()
        scale = max(values.nan_to_num().abs().max().item(), 1e-6)
        codes = ((values.abs() / scale).sqrt().mul(OFFSET_CODES).round() * values.sign()).nan_to_num(NAN_CODE)
        offsets = base64.b64encode(codes.numpy().astype(np.int8).tobytes()).decode()
        return {**size, "scale": round(scale, 6), "offsets": offsets}

    def _packed_fusion(self, fusion: Fusion) -> dict[str, Any]:
        """The fusion of a block for the groups that the page can draw."""
        return {"kept": fusion.kept, "weights": fusion.weights[:, self.drawn_groups].tolist()}


def fields(model: nn.Module, x: Tensor) -> list[Field]:
    """The fields of ``model`` for a preprocessed image ``x`` (C, h, w), in order; empty if it contains no ATMNet."""
    if not any(isinstance(module, ATMNet) for module in model.modules()):
        return []
    return [_field(model, look) for look in sampling_places(model, x.unsqueeze(0))]


def exact_field(model: nn.Module, mixing: Mixing) -> Field:
    """The exact field of the first image of ``mixing``, which was recorded from ``model``."""
    field = _field(model, mixing.look)
    fusions = [
        Fusion(block.weights[:, 0].float().unflatten(-1, (field.groups, -1)).mean(-1).cpu(), block.kept[0].item())
        for block in mixing.blocks
    ]
    return replace(field, exact=True, fusions=fusions)


def _field(model: nn.Module, look: Look) -> Field:
    """The field of the first image of ``look``."""
    stage, blocks = _stage_and_blocks(model, look.name)
    return Field(stage, blocks, torch.stack([look.width[0], look.height[0]]).float().cpu(), name=look.name)


def _stage_and_blocks(model: nn.Module, name: str) -> tuple[str, str]:
    """Names of the stage and the blocks of the offset predictor ``name``, e.g. ``stages.2.groups.1.offset``."""
    match = re.search(r"^(.*stages\.(\d+)\.groups\.)(\d+)\.offset$", name)
    if match is None:
        neck = re.search(r"\b(layer_blocks|top_down)\.(\d+)\.offset$", name)
        return (_NECK[neck[1]], f"{int(neck[2]) + 1}") if neck is not None else (name, "")
    groups = model.get_submodule(match[1].removesuffix("."))
    lengths = [len(list(group.get_submodule("blocks").children())) for group in groups.children()]
    stage = f"Stage {int(match[2]) + 1}"
    if len(lengths) == 1:
        return stage, ""
    first = sum(lengths[: int(match[3])]) + 1
    last = first + lengths[int(match[3])] - 1
    return stage, f"blocks {first}–{last}" if last > first else f"block {first}"
