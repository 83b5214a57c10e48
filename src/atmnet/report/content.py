"""The contents of a report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor, nn


class Example(NamedTuple):
    """One image and the prediction of the network for it.

    Attributes:
        name: File name, or another text that identifies the image.
        image: The image as read, of any size.
        target: Index of the true class; None if unknown.
        predicted: Index of the class with the highest probability.
        confidence: That probability, 0 to 1.
    """

    name: str
    image: Image.Image
    target: int | None
    predicted: int
    confidence: float

    @property
    def is_mistake(self) -> bool:
        """Whether the true class is known and another one was predicted."""
        return self.target is not None and self.target != self.predicted


@dataclass(frozen=True)
class Looker:
    """What the section "where the network looks" needs. C channels.

    Attributes:
        model: A network in evaluation mode and on the CPU. If it contains an ATMNet, its offsets are shown.
        preprocess: Maps an image to the model's input (C, h, w).
        mean: Mean of the normalisation in ``preprocess``, per channel or one for all; undone to show the images.
        std: Standard deviation of the normalisation, per channel or one for all.
        images: Images, each with its caption as HTML.
    """

    model: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    mean: Sequence[float]
    std: Sequence[float]
    images: Sequence[tuple[Image.Image, str]]


@dataclass
class Report:
    """Everything that :func:`write_report` shows. K classes, C channels.

    Attributes:
        title: Heading of the page.
        model: The network, in evaluation mode and on the CPU. If it contains an ATMNet, its offsets are shown.
        preprocess: Maps an image to the model's input (C, h, w).
        mean: Mean of the normalisation in ``preprocess``, per channel or one for all; undone to show the images.
        std: Standard deviation of the normalisation, per channel or one for all.
        classes: Names of the K classes.
        metrics: The lines of metrics.jsonl. Kinds other than ``train`` and ``evaluate`` are ignored.
        confusion: (K, K) counts, sparse or dense; rows are true classes, columns are predicted ones.
        mistakes: Mistakes, the most confident first.
        examples: Images for the section "where the network looks"; six to ten, for example one per class.
        facts: Label -> value, shown below the title.
        calibration: Counts (3, 15); see :func:`~atmnet.tasks.calibration.count_in_bins`. None leaves the section out.

    Raises:
        ValueError: If the model is in training mode, or a class index, ``confusion`` or ``std`` does not fit.
    """

    title: str
    model: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: list[str]
    metrics: list[dict[str, Any]]
    confusion: Tensor
    mistakes: list[Example]
    examples: list[Example]
    facts: dict[str, str]
    calibration: Tensor | None = None

    @property
    def looker(self) -> Looker:
        """The model with the examples."""
        images = [(example.image, caption(example, self.classes)) for example in self.examples]
        return Looker(self.model, self.preprocess, self.mean, self.std, images)

    def __post_init__(self) -> None:
        k = len(self.classes)
        if self.model.training:
            raise ValueError("model: got one in training mode, expected model.eval()")
        if tuple(self.confusion.shape) != (k, k):
            raise ValueError(f"confusion: got shape {tuple(self.confusion.shape)}, expected {(k, k)} for {k} classes")
        if len(self.mean) != len(self.std):
            raise ValueError(f"std: got {len(self.std)} values, expected {len(self.mean)} as in mean")
        for argument in ("mistakes", "examples"):
            for example in getattr(self, argument):
                for index in (example.target, example.predicted):
                    if index is not None and not 0 <= index < k:
                        raise ValueError(f"{argument}: {example.name} has class {index}, expected 0 to {k - 1}")


def percent(share: float, digits: int = 0) -> str:
    """Format 0.123 as '12 %', with a non-breaking space. What only rounds to 0 or 100 % becomes '<1 %' or '>99 %'."""
    if share != share:
        return "–"
    value = 100 * share
    unit = 10.0**-digits
    if 0 < value < unit / 2:
        return f"<\u202f{unit:g}\u202f%"
    if 100 - unit / 2 <= value < 100:
        return f">\u202f{100 - unit:g}\u202f%"
    return f"{value:.{digits}f}\u202f%"


def percentages(parts: Sequence[int], totals: Sequence[int]) -> list[float]:
    """100 * part / total of each class; NaN where the total is 0."""
    return [100 * part / total if total else float("nan") for part, total in zip(parts, totals, strict=True)]


def caption(example: Example, classes: list[str]) -> str:
    """The prediction for an example as HTML: classes, probability, and file name."""
    confidence = percent(example.confidence)
    predicted = escape(classes[example.predicted])
    if example.target is None:
        verdict = f"<b>{predicted}</b> <span>predicted, {confidence}</span>"
    elif example.is_mistake:
        true = escape(classes[example.target])
        verdict = f'<b>{true}</b> <span>taken for <em class="wrong">{predicted}</em>, {confidence}</span>'
    else:
        verdict = f"<b>{predicted}</b> <span>recognised, {confidence}</span>"
    return f'{verdict} <span class="file">{escape(example.name)}</span>'
