"""Where one group of blocks looks in one picture, made small enough to embed.

Shapes: H x W tokens, G share groups, A = 2 axes (0 the width, 1 the height). A field keeps R x Q query tokens and
N groups of these.
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

_MOST_GROUPS = 24
_FEWEST_GROUPS = 8
_QUERIES_PER_AXIS = 32
_BYTES = 8_192
"""Upper bound of a packed field where the fewest groups allow it."""

_NOTHING = -128
"""Code of an offset that is not a number."""


@dataclass(frozen=True, eq=False)
class Field:
    """The offsets of one group of blocks in one picture.

    Attributes:
        stage: E.g. "Stage 3".
        blocks: Which blocks of a stage with several groups sample here, e.g. "blocks 1–2"; else empty.
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
        """Columns and rows, to read."""
        return f"{self.width}\u200a×\u200a{self.height}"

    @property
    def groups(self) -> int:
        return self.offsets.size(3)

    @property
    def alone(self) -> bool:
        """Whether the grid is a single token."""
        return self.height == self.width == 1

    @property
    def step(self) -> int:
        """Every how many tokens, along both axes, there is a query token."""
        return -(-max(self.height, self.width) // _QUERIES_PER_AXIS)

    def queries(self, axis: int) -> Tensor:
        """Indices of the query tokens along ``axis``."""
        length = self.offsets.size(2 - axis)
        return torch.arange(self.step // 2, length + self.step // 2, self.step).clamp(max=length - 1)

    @cached_property
    def shown(self) -> Tensor:
        """(R, Q, A, N): the offsets that the page can draw. All groups if they fit, else evenly spread ones."""
        rows, columns = self.queries(1), self.queries(0)
        fit = max(_FEWEST_GROUPS, _BYTES // (2 * len(rows) * len(columns)))
        count = min(self.groups, _MOST_GROUPS, fit)
        groups = torch.linspace(0, self.groups - 1, count).round().long()
        return self.offsets[:, rows][:, :, columns][..., groups].permute(1, 2, 0, 3)

    def nearest_query(self, x: float, y: float) -> tuple[int, int]:
        """Row and column, among the query tokens, of the one at (x, y), fractions of the picture's sides."""
        rows, columns = self.shown.shape[:2]
        return min(int(y * self.height) // self.step, rows - 1), min(int(x * self.width) // self.step, columns - 1)

    def packed(self) -> dict[str, int | float | str]:
        """For JSON. An offset o is the signed byte q with o = sign(q) (q / 127)^2 scale: finer where it is short."""
        limit = max(self.height, self.width) + 1.0  # whatever lies further is drawn at the same place
        values = self.shown.clamp(-limit, limit).double()
        scale = max(values.nan_to_num().abs().max().item(), 1e-6)
        codes = ((values.abs() / scale).sqrt().mul(127).round() * values.sign()).nan_to_num(_NOTHING)
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
    """Where ``model`` looks in one preprocessed picture ``x`` (C, h, w), first to last; none without an ATMNet."""
    if not any(isinstance(module, ATMNet) for module in model.modules()):
        return []
    found = []
    for look in sampling_places(model, x.unsqueeze(0)):
        stage, blocks = _names(model, look.name)
        offsets = torch.stack([look.width[0], look.height[0]]).float()
        found.append(Field(stage, blocks, offsets))
    return found


def _names(model: nn.Module, name: str) -> tuple[str, str]:
    """Stage and blocks of the offset predictor ``name``, e.g. ``stages.2.groups.1.offset``."""
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
