"""Compare a written file with the eager model: its numbers, its answers and its speed.

Shapes: B images, C colour channels, H x W pixels, K classes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atmnet.benchmark import compare
from atmnet.export.settings import Pixels
from atmnet_runtime import Array

#: Images (B, C, H, W) -> all outputs.
Run = Callable[[Array], list[Array]]


@dataclass(frozen=True)
class Difference:
    """How far the outputs of a file are from those of the eager model; of several outputs, the largest.

    Attributes:
        what: The images: their shape, or the number of pictures.
        largest: Largest absolute difference.
        scaled: ``largest`` over the largest eager value, or over 1 if that is smaller.
        relative: Norm of the difference over the norm of the eager values.
    """

    what: str
    largest: float
    scaled: float
    relative: float


@dataclass(frozen=True)
class Comparison:
    """How the outputs of a kind of network are compared.

    Attributes:
        difference: (what, ours, theirs) -> the difference.
        agreement: (ours, theirs) -> the share of answers that are the same.
        answer: Completes the line 'the same ...' of the report, with the fields 'share' and 'count'.
    """

    difference: Callable[[str, list[Array], list[Array]], Difference]
    agreement: Callable[[list[Array], list[Array]], float]
    answer: str


@dataclass(frozen=True)
class ExportReport:
    """The result of the comparison with the eager model.

    Attributes:
        path: The file.
        bytes: Its size, with all files that belong to it.
        nodes: Number of operators in the graph; None for formats that do not tell.
        differences: One for each size of noise images, and the last one for pictures if there are any.
        pictures: Number of pictures.
        agreement: Share of the pictures with the same class or set of labels (segmenters: of their pixels; detectors:
            of the objects in them). None without pictures, NaN if neither finds an object.
        seconds: Time of a call in the file's runtime, with one image if the batch is open.
        eager_seconds: Time of the same call of the eager model, in the same process.
        answer: See :class:`Comparison`.
    """

    path: Path
    bytes: int
    nodes: int | None
    differences: list[Difference]
    pictures: int
    agreement: float | None
    seconds: float
    eager_seconds: float
    answer: str

    @property
    def largest(self) -> float:
        """The largest absolute difference on any images."""
        return max(difference.largest for difference in self.differences)

    @property
    def text(self) -> str:
        """The report in a few lines."""
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
                    f"  no objects in {self.pictures} pictures, so little was compared: name a folder by --images"
                )
            else:
                lines.append("  the same " + self.answer.format(share=f"{self.agreement:.1%}", count=self.pictures))
        ratio = self.seconds / self.eager_seconds
        lines.append(f"  a call: {self.seconds * 1e3:.1f} ms, eager {self.eager_seconds * 1e3:.1f} ms ({ratio:.2f}x)")
        return "\n".join(lines)


def random_images(shape: Sequence[int], pixels: Pixels, seed: int = 0) -> Tensor:
    """Noise (B, C, H, W) with the values that a file takes."""
    generator = torch.Generator().manual_seed(seed)
    if pixels == "uint8":
        return torch.randint(256, tuple(shape), generator=generator, dtype=torch.uint8)
    if pixels == "unit":
        return torch.rand(tuple(shape), generator=generator)
    return torch.randn(tuple(shape), generator=generator)


def sizes_to_check(
    side: tuple[int, int], dynamic: bool, batch: int, several: bool = True
) -> list[tuple[int, int, int]]:
    """Shapes (B, H, W) to compare at: the model's own size, and if sizes are open a second batch size and two others.

    Args:
        side: Height and width of the model.
        dynamic: Whether sizes are open.
        batch: Images per call, if sizes are fixed.
        several: Whether the file takes several images per call.
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
    """The differences on noise of each shape (B, H, W)."""
    measured = []
    for seed, (batch, *side) in enumerate(sizes):
        images = random_images((batch, channels, *side), pixels, seed).numpy()
        measured.append(comparison.difference(" x ".join(map(str, images.shape)), run(images), eager(images)))
    return measured


def farthest(what: str, ours: list[Array], theirs: list[Array]) -> Difference:
    """:func:`difference` of each output, and of these the largest."""
    return worst(what, [difference(what, a, b) for a, b in zip(ours, theirs, strict=True)])


def worst(what: str, each: Sequence[Difference]) -> Difference:
    """The largest of each measure."""
    return Difference(what, *(max(getattr(d, key) for d in each) for key in ("largest", "scaled", "relative")))


def same_classes(ours: list[Array], theirs: list[Array]) -> float:
    """The share of places at which the largest of the logits (B, K, ..) is the same."""
    return float((ours[0].argmax(1) == theirs[0].argmax(1)).mean())


def same_sets(ours: list[Array], theirs: list[Array]) -> float:
    """The share of images of which the same logits (B, K) are positive, which are probabilities above 0.5."""
    return float(((ours[0] > 0) == (theirs[0] > 0)).all(1).mean())


def difference(what: str, ours: Array, theirs: Array) -> Difference:
    """The difference between an output of a file and of the eager model; NaN counts as infinite."""
    if ours.shape != theirs.shape:
        return Difference(what, float("inf"), float("inf"), float("inf"))
    gap = np.abs(ours.astype(np.float64) - theirs)
    gap[np.isnan(gap)] = np.inf
    largest = float(gap.max(initial=0.0))
    norm = float(np.linalg.norm(theirs.astype(np.float64)))
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    return Difference(what, largest, largest / scale, float(np.linalg.norm(gap)) / max(norm, 1e-30))


def latency(run: Run, eager: Run, shape: tuple[int, ...], pixels: Pixels, rounds: int = 7) -> tuple[float, float]:
    """The median seconds of a call of the file and of the eager model, measured in turns."""
    array = random_images(shape, pixels).numpy()
    comparison = compare({"file": lambda: run(array), "eager": lambda: eager(array)}, rounds, min_seconds=0.0)
    return comparison.seconds("file").median, comparison.seconds("eager").median
