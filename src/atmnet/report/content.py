"""What a report is made from."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor, nn


class Example(NamedTuple):
    """One image and what the network said of it.

    Attributes:
        name: File name, or whatever identifies the image.
        image: The image as read, of any size.
        target: True class, as an index into the classes; None if unknown.
        predicted: Class of the highest probability.
        confidence: That probability, 0 to 1.
    """

    name: str
    image: Image.Image
    target: int | None
    predicted: int
    confidence: float

    @property
    def wrong(self) -> bool:
        """Whether the true class is known and another one was predicted."""
        return self.target is not None and self.target != self.predicted


@dataclass
class Report:
    """Everything that :func:`write_report` shows. K classes, C channels.

    Attributes:
        title: Heading of the page.
        model: In eval mode, on the CPU. Where it looks is shown if it contains an ATMNet.
        preprocess: Image -> (C, h, w) as the model takes it.
        mean: Per channel, or one for all; with ``std``, undoes the normalisation to show what the network saw.
        std: Per channel, or one for all.
        classes: Names of the K classes.
        metrics: The lines of metrics.jsonl: kinds ``train`` and ``evaluate``; others are ignored.
        confusion: (K, K) counts, rows the true class, columns the predicted.
        mistakes: The most confident first.
        examples: Images for "where the network looks": six to ten, say one a class.
        facts: Label -> value, shown under the title.

    Raises:
        ValueError: For a model in training mode, or a class index or table that does not fit ``classes``.
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
    """0.123 -> '12 %', with a space that does not break; never '100 %' or '0 %' for what only rounds to it."""
    if share != share:
        return "–"
    value = 100 * share
    least = 10.0**-digits
    if 0 < value < least / 2:
        return f"<\u202f{least:g}\u202f%"
    if 100 - least / 2 <= value < 100:
        return f">\u202f{100 - least:g}\u202f%"
    return f"{value:.{digits}f}\u202f%"


def caption(example: Example, classes: list[str]) -> str:
    """What the network predicted for an example, as HTML: classes, probability, and the file's name."""
    sure = percent(example.confidence)
    said = escape(classes[example.predicted])
    if example.target is None:
        verdict = f"<b>{said}</b> <span>predicted, {sure}</span>"
    elif example.wrong:
        true = escape(classes[example.target])
        verdict = f'<b>{true}</b> <span>taken for <em class="wrong">{said}</em>, {sure}</span>'
    else:
        verdict = f"<b>{said}</b> <span>recognised, {sure}</span>"
    return f'{verdict} <span class="file">{escape(example.name)}</span>'
