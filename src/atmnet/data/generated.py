"""The part that all generated data sets share: their splits, the arguments in ``data.kwargs``, names and inventory.

A picture depends only on (seed, split, index) and the other arguments, except ``images``.
"""

import json
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import torch
from PIL import Image
from torch import Tensor

from atmnet.data.inventory import Inventory
from atmnet.data.targets import IGNORE
from atmnet.files import to_json
from atmnet_cli.errors import UserError
from atmnet_cli.renamed import RENAMED

SPLITS = ("train", "val")

#: Limit of a picture's height and width, in pixels.
_MAX_SIDE = 4096

#: What each argument of each source is, for error messages.
_EXPECTED = {
    "img_size": "a number of pixels, or [height, width]",
    "images": "a whole number, or [training, validation]",
    "seed": "a whole number",
    "objects": "[minimum, maximum]",
    "digit_sizes": "[minimum, maximum] in pixels",
    "contrast": "[minimum, maximum] in levels of 255",
    "label": "'largest' or 'sum'",
    "dashes": "a whole number",
    "distractors": "a whole number",
    "distance": "a share of the side, from 0 to 1",
    "digit_classes": "a whole number from 2 to 10",
    "rows": "a whole number",
}


@dataclass(frozen=True)
class GeneratedOptions:
    """Arguments that every generated data set takes.

    Attributes:
        img_size: Side in pixels, or (height, width).
        images: Pictures in each split, or in (training, validation).
        seed: Seed of all random numbers.
    """

    img_size: int | tuple[int, int] = 128
    images: int | tuple[int, int] = (2000, 300)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= min(self.size) <= max(self.size) <= _MAX_SIDE:
            raise UserError(
                f"data.kwargs: img_size: got {self.img_size}, expected a number of pixels or (height, width), "
                f"from 1 to {_MAX_SIDE}"
            )
        if min(self.images if isinstance(self.images, tuple) else [self.images]) < 1:
            raise UserError(f"data.kwargs: images: got {self.images}, expected at least 1")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return (self.img_size, self.img_size) if isinstance(self.img_size, int) else self.img_size


Options = TypeVar("Options", bound=GeneratedOptions)


class GeneratedSplit(Generic[Options]):
    """A split of a generated data set, without its pictures.

    A data set sets ``classes`` and has ``load``; see :class:`~atmnet.data.dataset.Split`. Opening and pickling are
    cheap, since photographs and digits are loaded when they are needed.

    Raises:
        UserError: For a split other than 'train' and 'val', and for arguments that are unknown or out of range.
    """

    #: Name in ``data.source``.
    source: ClassVar[str]
    #: The dataclass of the arguments.
    options_type: ClassVar[type[GeneratedOptions]]
    classes: list[str]

    def __init__(self, split: str, **kwargs: Any) -> None:
        if split not in SPLITS:
            raise UserError(f"data.train, data.val: {self.source!r} has the splits train and val, not {split!r}")
        self.split = split
        self.options: Options = _read_kwargs(self.source, self.options_type, kwargs)  # type: ignore[assignment]

    def __len__(self) -> int:
        images = self.options.images
        return images if isinstance(images, int) else images[SPLITS.index(self.split)]

    def name(self, index: int) -> str:
        """The picture's number as a file name."""
        return f"{index:06d}.png"

    def inventory(self) -> Inventory:
        """The arguments, which with the split are all that the pictures depend on."""
        return Inventory(self.classes, [], [], facts={"arguments": json.loads(to_json(asdict(self.options)))})

    def load(self, index: int, mode: str) -> tuple[Image.Image, Any]:
        """The picture in 'RGB' or 'L', and its target."""
        raise NotImplementedError

    def blank(self, mode: str) -> tuple[Image.Image, Any]:
        """A sample without a label, or with label 0."""
        raise NotImplementedError

    def labels(self, target: Any) -> set[int]:
        """The labels that a target contains."""
        raise NotImplementedError


class GeneratedClasses(GeneratedSplit[Options]):
    """A split of a generated data set for classification: the target is a label."""

    def labels(self, target: int) -> set[int]:
        """The label."""
        return {target}

    def blank(self, mode: str) -> tuple[Image.Image, int]:
        """A blank picture with label 0."""
        return Image.new(mode, (32, 32)), 0


class GeneratedLabelMaps(GeneratedSplit[Options]):
    """A split of a generated data set for segmentation: the target is a label map (H, W)."""

    def labels(self, target: Tensor) -> set[int]:
        """The labels of the pixels."""
        return set(target.unique().tolist())

    def blank(self, mode: str) -> tuple[Image.Image, Tensor]:
        """A blank picture, all of whose pixels are ignored."""
        return Image.new(mode, (32, 32)), torch.full((32, 32), IGNORE, dtype=torch.uint8)


def accepts(options_type: type[GeneratedOptions], kwargs: dict[str, Any]) -> bool:
    """Whether all names in ``kwargs`` are arguments of a generated data set."""
    return set(kwargs) <= {field.name for field in fields(options_type)}


def _read_kwargs(source: str, options_type: type[GeneratedOptions], kwargs: dict[str, Any]) -> GeneratedOptions:
    known = [field.name for field in fields(options_type)]
    if renamed := {"side", "sizes"} & set(kwargs):
        old = min(renamed)
        raise UserError(f"data.kwargs: {old} is now called {RENAMED[f'data.kwargs.{old}'].rpartition('.')[2]}")
    if unknown := sorted(set(kwargs) - set(known)):
        raise UserError(f"data.kwargs: unknown: {', '.join(unknown)}; {source!r} takes {', '.join(known)}")
    hints = get_type_hints(options_type)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kwargs.items()}
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise UserError(f"data.kwargs: {name}: got {value!r}, expected {_EXPECTED[name]}")
    return options_type(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of an argument, such as ``int | tuple[int, int]``; bool is not a whole number."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(parts) and all(map(_fits, value, parts))
    if origin is Literal:
        return value in parts
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint
