"""The offsets of one group of blocks for one image, and a selection of them that is small enough to embed.

Shapes: H x W tokens, G share groups, A = 2 axes (0 the width, 1 the height). The page shows the offsets of R x Q query
tokens and N groups.
"""

import base64
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from atmnet.models.atmnet import ATMNet
from atmnet.models.looks import sampling_places
from atmnet.report.drawing import NAN_CODE, OFFSET_CODES

_MAX_GROUPS = 24
_MIN_GROUPS = 8
_MAX_QUERIES_PER_AXIS = 32
_MAX_BYTES = 8_192
"""Maximum size of a packed field, unless ``_MIN_GROUPS`` groups take more."""


@dataclass(frozen=True, eq=False)
class Field:
    """The offsets of one group of blocks for one image.

    Attributes:
        stage: Name of the stage, e.g. "Stage 3".
        blocks: Blocks that use these offsets, e.g. "blocks 1–2"; empty if all blocks of the stage do.
        offsets: (A, H, W, G) in tokens.
    """

    stage: str
    blocks: str
    offsets: Tensor

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
        return -(-max(self.height, self.width) // _MAX_QUERIES_PER_AXIS)

    def queries(self, axis: int) -> Tensor:
        """Indices of the query tokens along ``axis``."""
        length = self.offsets.size(2 - axis)
        return torch.arange(self.step // 2, length + self.step // 2, self.step).clamp(max=length - 1)

    @cached_property
    def drawn(self) -> Tensor:
        """(R, Q, A, N): the offsets that the page can draw, of all groups or, if these are too many, of evenly spaced
        ones."""
        rows, columns = self.queries(1), self.queries(0)
        limit = max(_MIN_GROUPS, _MAX_BYTES // (2 * len(rows) * len(columns)))
        count = min(self.groups, _MAX_GROUPS, limit)
        groups = torch.linspace(0, self.groups - 1, count).round().long()
        return self.offsets[:, rows][:, :, columns][..., groups].permute(1, 2, 0, 3)

    def nearest_query(self, x: float, y: float) -> tuple[int, int]:
        """Row and column, among the query tokens, of the one at (x, y), fractions of the image's sides."""
        rows, columns = self.drawn.shape[:2]
        return min(int(y * self.height) // self.step, rows - 1), min(int(x * self.width) // self.step, columns - 1)

    def packed(self) -> dict[str, int | float | str]:
        """The field as JSON values. An offset o is the signed byte q with o = sign(q) (q / 127)^2 scale.

        The square makes short offsets more precise than long ones.
        """
        limit = max(self.height, self.width) + 1.0  # places farther away are drawn at the margin anyway
        values = self.drawn.clamp(-limit, limit).double()
        scale = max(values.nan_to_num().abs().max().item(), 1e-6)
        codes = ((values.abs() / scale).sqrt().mul(OFFSET_CODES).round() * values.sign()).nan_to_num(NAN_CODE)
        return {
            "w": self.width,
            "h": self.height,
            "columns": codes.size(1),
            "rows": codes.size(0),
            "step": self.step,
            "n": codes.size(3),
            "scale": round(scale, 6),
            "offsets": base64.b64encode(codes.numpy().astype(np.int8).tobytes()).decode(),
        }


def fields(model: nn.Module, x: Tensor) -> list[Field]:
    """The fields of ``model`` for a preprocessed image ``x`` (C, h, w), in order; empty if it contains no ATMNet."""
    if not any(isinstance(module, ATMNet) for module in model.modules()):
        return []
    result = []
    for look in sampling_places(model, x.unsqueeze(0)):
        stage, blocks = _stage_and_blocks(model, look.name)
        offsets = torch.stack([look.width[0], look.height[0]]).float()
        result.append(Field(stage, blocks, offsets))
    return result


def _stage_and_blocks(model: nn.Module, name: str) -> tuple[str, str]:
    """Names of the stage and the blocks of the offset predictor ``name``, e.g. ``stages.2.groups.1.offset``."""
    match = re.search(r"^(.*stages\.(\d+)\.groups\.)(\d+)\.offset$", name)
    if match is None:
        return name, ""
    groups = model.get_submodule(match[1].removesuffix("."))
    lengths = [len(list(group.get_submodule("blocks").children())) for group in groups.children()]
    stage = f"Stage {int(match[2]) + 1}"
    if len(lengths) == 1:
        return stage, ""
    first = sum(lengths[: int(match[3])]) + 1
    last = first + lengths[int(match[3])] - 1
    return stage, f"blocks {first}–{last}" if last > first else f"block {first}"
