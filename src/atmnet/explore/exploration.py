"""What a network does with one picture: its answer, the places that it reads, and how much of each gets through.

Shapes: H x W tokens of a stage, G share groups, S channels of a group, C = G S channels, A = 2 axes (0 the width, 1 the
height), K = 3 branches (the axes, then the token itself).
"""

import base64
import re
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from atmnet import __version__
from atmnet.explore.reads import heat, readers_of
from atmnet.explore.sizes import default_size, resized, takes_any_size
from atmnet.explore.trace import TracedBlock, trace
from atmnet.layers import PatchEmbed
from atmnet.models.looks import BlockMixing, Mixing, record_mixing
from atmnet.predictions import Answer, Prediction, Predictor
from atmnet.report.field import Field, field_of
from atmnet.report.pictures import input_image
from atmnet.tasks import make_task
from atmnet_cli.errors import UserError
from atmnet_cli.options import PredictOptions

_ANSWER = PredictOptions(model="", images=[])
_BRANCHES = ("width", "height", "token")


@dataclass(frozen=True, eq=False)
class GroupOfBlocks:
    """Consecutive blocks that read the same places.

    Attributes:
        name: Name of the module that predicts the offsets, e.g. ``stages.2.groups.0.offset``.
        field: The offsets, and the names of the stage and the blocks.
        blocks: For each block the fusion weights (K, G), means over the channels of each share group, and the share of
            the residual connection. Empty for a layer outside of the backbone's stages, as in ATMFPN.
    """

    name: str
    field: Field
    blocks: list[tuple[Tensor, float]]

    @property
    def weights(self) -> Tensor:
        """(K, G): the mean over the blocks."""
        if not self.blocks:
            return torch.full((len(_BRANCHES), self.field.groups), 1 / len(_BRANCHES))
        return torch.stack([weights for weights, _ in self.blocks]).mean(0)

    def token(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the token at fractions of the picture's sides."""
        height, width = self.field.height, self.field.width
        return min(int(y * height), height - 1), min(int(x * width), width - 1)


@dataclass(frozen=True, eq=False)
class Exploration:
    """What a network does with one picture.

    Attributes:
        model: Name of the network.
        kind: 'classification', 'multilabel', 'detection' or 'segmentation'.
        name: Name of the picture.
        size: Size in pixels at which the network took the picture; see :func:`~atmnet.explore.sizes.resized`.
        answer: The answer, as of ``atmnet predict``.
        seen: The backbone's input as a picture, whose tokens the groups refer to. None for a network that is not an
            ATMNet's checkpoint.
        groups: All groups of blocks, in order; empty if ``seen`` is None.
    """

    model: str
    kind: str
    name: str
    size: int
    answer: Answer
    seen: Image.Image | None
    groups: list[GroupOfBlocks]

    def record(
        self, x: float = 0.5, y: float = 0.5, *, traced: int | None = None, every_token: bool = False
    ) -> dict[str, Any]:
        """All of this as JSON values; docs/explore.md describes them.

        Args:
            x, y: The place whose tokens are described, as fractions of the picture's width and height, 0 to 1.
            traced: Index of the group of blocks whose token is followed back. Default: the last of the backbone.
            every_token: Whether to add the offsets of all tokens, as float32 in base64.

        Raises:
            UserError: If an argument is not in its range.
        """
        in_stages = [k for k, group in enumerate(self.groups) if group.blocks]
        if traced is not None and traced not in in_stages:
            raise UserError(
                f"traced: got {traced}, expected a group of blocks of the backbone, 0 to {len(in_stages) - 1}"
            )
        for argument, value in (("x", x), ("y", y)):
            if not 0 <= value <= 1:
                raise UserError(f"{argument}: got {value}, expected a fraction of the picture's side, 0 to 1")
        seen = self.seen.size if self.seen is not None else (0, 0)
        return {
            "version": __version__,
            "model": self.model,
            "kind": self.kind,
            "picture": {"name": self.name, "width": self.answer.size[0], "height": self.answer.size[1]},
            "input": {"size": self.size, "width": seen[0], "height": seen[1]},
            "answer": self.answer.record,
            "place": {"x": x, "y": y},
            "looks": [self._look(k, x, y, every_token) for k in range(len(self.groups))],
            "origin": self._origin(in_stages[-1] if traced is None else traced, x, y) if in_stages else None,
        }

    def _origin(self, index: int, x: float, y: float) -> dict[str, Any]:
        origin = trace(self._blocks(index), *self.groups[index].token(x, y))
        return {
            "look": self.groups[index].name,
            "shares": origin.origin.tolist(),
            "outside": origin.outside,
            "links": [link._asdict() for link in origin.links],
        }

    def _blocks(self, last: int) -> list[TracedBlock]:
        """All blocks of the backbone up to those of the group ``last``."""
        return [
            TracedBlock(group.field.offsets, weights, kept, k)
            for k, group in enumerate(self.groups[: last + 1])
            for weights, kept in group.blocks
        ]

    def _look(self, index: int, x: float, y: float, every_token: bool) -> dict[str, Any]:
        group = self.groups[index]
        field, weights = group.field, group.weights
        row, column = group.token(x, y)
        readers = readers_of(field.offsets, row, column)
        record: dict[str, Any] = {
            "name": group.name,
            "stage": field.stage,
            "blocks": field.blocks,
            "rows": field.height,
            "columns": field.width,
            "groups": field.groups,
            "token": {"row": row, "column": column},
            "width": field.offsets[0, row, column].tolist(),
            "height": field.offsets[1, row, column].tolist(),
            "fusion": [
                {
                    "kept": kept,
                    **{name: branch.mean().item() for name, branch in zip(_BRANCHES, shares, strict=True)},
                    "by_group": dict(zip(_BRANCHES, shares.tolist(), strict=True)),
                }
                for shares, kept in group.blocks
            ],
            "read_by": {
                "reads": [
                    {"row": reader // field.width, "column": reader % field.width, "axis": _BRANCHES[axis],
                     "group": share_group, "share": share}
                    for reader, axis, share_group, share in zip(
                        *(part.tolist() for part in (readers.reader, readers.axis, readers.group, readers.share)),
                        strict=True,
                    )
                ],
                "total": heat(field.offsets, weights, row, column).sum().item(),
            },
        }  # fmt: skip
        if every_token:
            values = field.offsets.contiguous().numpy().astype("<f4")
            record["offsets"] = {"shape": list(values.shape), "float32": base64.b64encode(values.tobytes()).decode()}
        return record


class Explorer:
    """A network that explains pictures. It computes one picture at a time, also if several threads call it.

    Args:
        predictor: The network.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.network = predictor, predictor.task.network
        self.default_size = default_size(self.network)
        self.takes_any_size = takes_any_size(self.network)
        self._at_size = cache(self._predictor_at)
        self._lock = threading.Lock()

    def __call__(self, picture: Any, name: str = "picture", size: int | None = None) -> Exploration:
        """Run the network on a picture.

        Args:
            picture: As for a :class:`~atmnet.predictions.Predictor`.
            name: Name of the picture.
            size: Size in pixels to take it at; see :func:`~atmnet.explore.sizes.resized`. Default: the network's.

        Raises:
            UserError: If the picture cannot be read, or the network takes no other size than its own.
        """
        size = self.default_size if size is None else size
        if size != self.default_size and not self.takes_any_size:
            raise UserError(f"size: got {size}, and this exported file takes only {self.default_size}; leave it out")
        predictor = self._at_size(size)
        predictions: list[Prediction] = []
        inputs: list[Tensor] = []
        model = predictor.task.network.model
        with self._lock:  # the hooks record whatever the modules compute
            hooks = [
                module.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
                for module in model.modules()
                if isinstance(module, PatchEmbed)
            ]
            try:
                mixings = record_mixing(model, lambda: predictions.extend(predictor.stream([picture])))
            finally:
                for hook in hooks:
                    hook.remove()
        (prediction,) = predictions
        if prediction.image is None:
            raise UserError(f"{name}: {prediction.error}")
        answer = predictor.answer(prediction, _ANSWER)
        seen, groups = None, []
        if mixings and inputs:
            config = self.network.config
            seen = input_image(inputs[0][0].cpu(), config["mean"], config["std"])
            groups = [_group(model, mixing) for mixing in mixings]
        return Exploration(self.network.name, self.network.kind, name, size, answer, seen, groups)

    def _predictor_at(self, size: int) -> Predictor:
        if size == self.default_size:
            return self.predictor
        return self.predictor.with_task(make_task(resized(self.network, size)))


def _group(model: torch.nn.Module, mixing: Mixing) -> GroupOfBlocks:
    field = field_of(model, mixing.look, exact=True)
    in_stages = re.search(r"stages\.\d+\.groups\.\d+\.offset$", mixing.look.name) is not None
    return GroupOfBlocks(
        mixing.look.name, field, [_block(block, field.groups) for block in mixing.blocks] if in_stages else []
    )


def _block(block: BlockMixing, groups: int) -> tuple[Tensor, float]:
    """The fusion weights (K, G) of the first image, and the share of the residual connection."""
    return block.weights[:, 0].float().unflatten(-1, (groups, -1)).mean(-1).cpu(), block.kept[0].item()
