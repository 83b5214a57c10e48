"""What ``atmnet predict`` does for each kind of network, in one table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from atmnet.predictions.answers import Answer, label_set, objects, ranking, regions
from atmnet.tasks.matching import MIN_SCORE
from atmnet_cli.options import Kind, PredictOptions

_TOP = 3


@dataclass(frozen=True)
class PredictionKind:
    """The facts of a kind of prediction.

    Attributes:
        answer: (picture, the task's output for it, class names, options) -> the answer.
        options: The options that only some kinds take and this one does.
        tile: Side in pixels of a picture on the contact sheet; names that are drawn on pictures need more room.
        is_drawn: Whether ``output`` gets a drawing of each picture, and files of the network's kind.
    """

    answer: Callable[[Image.Image, Any, list[str], PredictOptions], Answer]
    options: tuple[str, ...]
    tile: int
    is_drawn: bool


def min_score(options: PredictOptions) -> float:
    """Minimum score of an object, or probability of a label, to be shown."""
    return MIN_SCORE if options.threshold is None else options.threshold


def _ranking(image: Image.Image, output: Any, classes: list[str], options: PredictOptions) -> Answer:
    return ranking(image, output, classes, _TOP if options.top is None else options.top)


def _label_set(image: Image.Image, output: Any, classes: list[str], options: PredictOptions) -> Answer:
    return label_set(image, output, classes, min_score(options))


def _objects(image: Image.Image, output: Any, classes: list[str], options: PredictOptions) -> Answer:
    return objects(image, output, classes, min_score(options))


def _regions(image: Image.Image, output: Any, classes: list[str], options: PredictOptions) -> Answer:
    return regions(image, output, classes)


KINDS: dict[Kind, PredictionKind] = {
    "classification": PredictionKind(_ranking, ("top",), tile=160, is_drawn=False),
    "multilabel": PredictionKind(_label_set, ("threshold",), tile=160, is_drawn=False),
    "detection": PredictionKind(_objects, ("threshold",), tile=360, is_drawn=True),
    "segmentation": PredictionKind(_regions, (), tile=360, is_drawn=True),
}
#: Every option that only some kinds take.
LIMITED_OPTIONS = sorted({option for kind in KINDS.values() for option in kind.options})
