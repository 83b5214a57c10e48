"""What a network does with one picture: its answer, the places that it reads, and how much of each gets through.

Shapes: H x W tokens of a stage, G share groups, A = 2 axes (0 the width, 1 the height), K = 3 branches (the axes, then
the token itself).
"""

import base64
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image
from torch import Tensor

from atmnet import __version__
from atmnet.explore.reads import heat, readers_of
from atmnet.explore.sizes import default_size, resized, takes_any_size
from atmnet.explore.trace import TracedBlock, trace
from atmnet.layers import PatchEmbed
from atmnet.models.looks import record_mixing
from atmnet.predictions import Answer, Prediction, Predictor
from atmnet.report.field import Field, Fusion, exact_field
from atmnet.report.pictures import input_image
from atmnet.tasks import make_task
from atmnet_cli.errors import UserError
from atmnet_cli.options import PredictOptions

_ANSWER = PredictOptions(model="", images=[], top=5)
_BRANCHES = ("width", "height", "token")


@dataclass(frozen=True, eq=False)
class Exploration:
    """What a network does with one picture.

    Attributes:
        model: What the network is called.
        kind: 'classification', 'multilabel', 'detection' or 'segmentation'.
        name: Name of the picture.
        size: Size in pixels at which the network took the picture; see :func:`~atmnet.explore.sizes.resized`.
        answer: The answer, as of ``atmnet predict``.
        seen: The backbone's input as a picture, whose tokens the fields refer to. None for a network that is not an
            ATMNet's checkpoint.
        fields: The exact fields of all groups of blocks, in order; empty if ``seen`` is None.
    """

    model: str
    kind: str
    name: str
    size: int
    answer: Answer
    seen: Image.Image | None
    fields: list[Field]

    def record(
        self, x: float = 0.5, y: float = 0.5, *, traced: int | None = None, every_token: bool = False
    ) -> dict[str, Any]:
        """All of this as JSON values; docs/explore.md describes them.

        Args:
            x: The place whose tokens are described, as a fraction of the picture's width, 0 to 1.
            y: The same of its height.
            traced: Index of the group of blocks whose token is followed back. Default: the last of the backbone.
            every_token: Whether to add the offsets of all tokens, as float32 in base64.

        Raises:
            UserError: If an argument is not in its range.
        """
        in_stages = [k for k, field in enumerate(self.fields) if field.fusions]
        if traced is not None and traced not in in_stages:
            raise UserError(f"traced: got {traced}, expected the index of a group of blocks, one of {in_stages}")
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
            "looks": [_look(field, x, y, every_token) for field in self.fields],
            "origin": self._origin(in_stages[-1] if traced is None else traced, x, y) if in_stages else None,
        }

    def _origin(self, index: int, x: float, y: float) -> dict[str, Any]:
        origin = trace(self._blocks(index), *self.fields[index].nearest_query(x, y))
        return {
            "look": self.fields[index].name,
            "shares": origin.origin.tolist(),
            "outside": origin.outside,
            "links": [link._asdict() for link in origin.links],
        }

    def _blocks(self, last: int) -> list[TracedBlock]:
        """All blocks of the backbone up to those of the field ``last``."""
        return [
            TracedBlock(field.offsets, fusion, k)
            for k, field in enumerate(self.fields[: last + 1])
            for fusion in field.fusions
        ]


def _look(field: Field, x: float, y: float, every_token: bool) -> dict[str, Any]:
    """What :meth:`Exploration.record` says of a group of blocks."""
    row, column = field.nearest_query(x, y)
    readers = readers_of(field.offsets, row, column)
    parts = (readers.reader, readers.axis, readers.group, readers.share)
    record: dict[str, Any] = {
        "name": field.name,
        "stage": field.stage,
        "blocks": field.blocks,
        "rows": field.height,
        "columns": field.width,
        "groups": field.groups,
        "token": {"row": row, "column": column},
        "width": field.offsets[0, row, column].tolist(),
        "height": field.offsets[1, row, column].tolist(),
        "fusion": [_fusion(fusion) for fusion in field.fusions],
        "read_by": {
            "reads": [
                {
                    "row": reader // field.width,
                    "column": reader % field.width,
                    "axis": _BRANCHES[axis],
                    "group": group,
                    "share": share,
                }
                for reader, axis, group, share in zip(*(part.tolist() for part in parts), strict=True)
            ],
            "total": heat(field.offsets, field.weights, row, column).sum().item(),
        },
    }
    if every_token:
        values = field.offsets.contiguous().numpy().astype("<f4")
        record["offsets"] = {"shape": list(values.shape), "float32": base64.b64encode(values.tobytes()).decode()}
    return record


def _fusion(fusion: Fusion) -> dict[str, Any]:
    """The fusion of a block: means over the share groups, and the weights of each."""
    means = dict(zip(_BRANCHES, fusion.weights.mean(1).tolist(), strict=True))
    by_group = dict(zip(_BRANCHES, fusion.weights.tolist(), strict=True))
    return {"kept": fusion.kept, **means, "by_group": by_group}


class Explorer:
    """A network that explains pictures. It computes one picture at a time, also if several threads call it.

    Args:
        predictor: The network.
        name: What to call it. Default: its architecture, or the name of an exported file.

    Examples:
        >>> explorer = Explorer(atmnet.load("atmnet_nano.digits"))
        >>> exploration = explorer(torch.rand(3, 32, 32))
        >>> [look["columns"] for look in exploration.record(0.5, 0.5)["looks"]]
        [8, 4, 2, 1]
    """

    def __init__(self, predictor: Predictor, name: str = "") -> None:
        self.predictor, self.network = predictor, predictor.task.network
        model: Any = self.network.model
        self.name = name or (model.file.path.name if self.network.exported else self.network.name)
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
        seen, fields = None, []
        if mixings and inputs:
            config = self.network.config
            seen = input_image(inputs[0][0].cpu(), config["mean"], config["std"])
            fields = [exact_field(model, mixing) for mixing in mixings]
        return Exploration(self.name, self.network.kind, name, size, answer, seen, fields)

    def _predictor_at(self, size: int) -> Predictor:
        if size == self.default_size:
            return self.predictor
        return self.predictor.with_task(make_task(resized(self.network, size)))
