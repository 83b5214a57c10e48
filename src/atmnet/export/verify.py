"""Hold a written file to the eager model: the same numbers, the same answers, and how fast.

Shapes: B images, C colour channels, H x W pixels, K classes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmnet.benchmark import compare
from atmnet.export.frame import Pixels, random_images

#: Images (B, C, H, W) -> all outputs.
Run = Callable[[NDArray[Any]], list[NDArray[Any]]]


@dataclass(frozen=True)
class Difference:
    """How far a file's outputs are from the eager model's; of several outputs that which is farthest.

    Attributes:
        what: The images: their shape, or that they are pictures.
        largest: Largest absolute difference.
        scaled: The same over the largest eager value, or over 1 where that is smaller.
        relative: Norm of the difference over the norm of the eager values.
    """

    what: str
    largest: float
    scaled: float
    relative: float


@dataclass(frozen=True)
class Comparison:
    """How outputs of a task are compared.

    Attributes:
        difference: (what, ours, theirs) -> how far they are apart.
        agreement: (ours, theirs) -> the share of answers that are the same.
        answer: What that is a share of, for people: 'the same ANSWER'.
    """

    difference: Callable[[str, list[NDArray[Any]], list[NDArray[Any]]], Difference]
    agreement: Callable[[list[NDArray[Any]], list[NDArray[Any]]], float]
    answer: str


@dataclass(frozen=True)
class ExportReport:
    """What a verification found.

    Attributes:
        path: The file.
        bytes: Its size, with all that belongs to it.
        nodes: Operators in the graph, None where the format does not say.
        differences: One for each size of images, and one for pictures.
        pictures: Number of real pictures.
        agreement: Share of them on which both give the same class (of segmenters, of their pixels; of detectors, of
            the objects in them); None without pictures.
        seconds: Time of a call (one image where sizes are open) in the file's runtime.
        eager_seconds: The same of the eager model, in the same process.
    """

    path: Path
    bytes: int
    nodes: int | None
    differences: list[Difference]
    pictures: int
    agreement: float | None
    seconds: float
    eager_seconds: float
    answer: str = "class on {share} of {count} pictures"

    @property
    def largest(self) -> float:
        """Largest absolute difference of all."""
        return max(difference.largest for difference in self.differences)

    @property
    def text(self) -> str:
        """A few lines for people."""
        nodes = f", {self.nodes} nodes" if self.nodes is not None else ""
        lines = [f"{self.path}: {self.bytes / 1e6:.1f} MB{nodes}"]
        lines += [
            f"  {difference.what:<24} largest difference from eager {difference.largest:.1e}, "
            f"relative {difference.relative:.1e}"
            for difference in self.differences
        ]
        if self.agreement is not None:
            if math.isnan(self.agreement):
                lines.append(
                    f"  nothing found in {self.pictures} pictures, so little compared: name a folder by --images"
                )
            else:
                lines.append("  the same " + self.answer.format(share=f"{self.agreement:.1%}", count=self.pictures))
        ratio = self.seconds / self.eager_seconds
        lines.append(f"  a call: {self.seconds * 1e3:.1f} ms, eager {self.eager_seconds * 1e3:.1f} ms ({ratio:.2f}x)")
        return "\n".join(lines)


def sizes_to_check(
    side: tuple[int, int], dynamic: bool, batch: int, several: bool = True
) -> list[tuple[int, int, int]]:
    """(B, H, W) to compare at: the model's own size, one and two images; where sizes are open, two others.

    Without ``several``, one image at a time.
    """
    height, width = side
    if not dynamic:
        return [(batch, height, width)]
    wide = round(height * 200 / 224), round(width * 264 / 224)
    narrow = round(height * 161 / 224), round(width * 99 / 224)
    return [(1, height, width), *([(2, height, width)] if several else []), (1, *wide), (1, *narrow)]


def differences(
    run: Run,
    eager: Run,
    sizes: Sequence[tuple[int, int, int]],
    channels: int,
    pixels: Pixels,
    comparison: Comparison,
) -> list[Difference]:
    """Differences on noise of each size (B, H, W)."""
    found = []
    for seed, (batch, *side) in enumerate(sizes):
        images = random_images((batch, channels, *side), pixels, seed).numpy()
        found.append(comparison.difference(" x ".join(map(str, images.shape)), run(images), eager(images)))
    return found


def farthest(what: str, ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> Difference:
    """:func:`difference` of each output, and of these the largest."""
    return worst(what, [difference(what, a, b) for a, b in zip(ours, theirs, strict=True)])


def worst(what: str, each: Sequence[Difference]) -> Difference:
    """The largest of each measure."""
    return Difference(what, *(max(getattr(d, key) for d in each) for key in ("largest", "scaled", "relative")))


def same_classes(ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> float:
    """Of logits (B, K, ..) the share of places at which the largest is the same."""
    return float((ours[0].argmax(1) == theirs[0].argmax(1)).mean())


#: Of classifiers.
CLASSES = Comparison(farthest, same_classes, "class on {share} of {count} pictures")


def difference(what: str, ours: NDArray[Any], theirs: NDArray[Any]) -> Difference:
    """Between an output of a file and the eager model's; whatever is not a number is infinitely far."""
    if ours.shape != theirs.shape:
        return Difference(what, float("inf"), float("inf"), float("inf"))
    gap = np.abs(ours.astype(np.float64) - theirs)
    gap[np.isnan(gap)] = np.inf
    largest = float(gap.max(initial=0.0))
    norm = float(np.linalg.norm(theirs.astype(np.float64)))
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    return Difference(what, largest, largest / scale, float(np.linalg.norm(gap)) / max(norm, 1e-30))


def latency(run: Run, eager: Run, shape: tuple[int, ...], pixels: Pixels, rounds: int = 7) -> tuple[float, float]:
    """Medians of the seconds of a call, interleaved: the file's, the eager model's."""
    array = random_images(shape, pixels).numpy()
    comparison = compare({"file": lambda: run(array), "eager": lambda: eager(array)}, rounds, min_seconds=0.0)
    return comparison.seconds("file").median, comparison.seconds("eager").median
