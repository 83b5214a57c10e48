"""A picture's exploration in a notebook."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from atmnet.explore.exploration import Exploration, Explorer
from atmnet.explore.page import explored_page
from atmnet.files import replacing
from atmnet.predictions import Predictor
from atmnet.tasks import load_task

_HEIGHT = 1000
"""Height of the frame in a notebook, in pixels; what is longer can be scrolled."""


class Shown:
    """Explorations that a notebook displays, and that can be saved as a page.

    Attributes:
        explorations: What was computed.
    """

    def __init__(self, explorations: Sequence[Exploration]) -> None:
        self.explorations = list(explorations)

    def _repr_html_(self) -> str:
        """A frame with the page, which cannot reach the notebook."""
        return frame(explored_page(self.explorations, bare=True), _HEIGHT)

    def save(self, path: str | Path) -> None:
        """Write the page to an .html file, which needs no network. Replaces an older file atomically."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(explored_page(self.explorations), encoding="utf-8", newline="\n")


def show(model: Any, image: Any, *, size: int | None = None, device: str = "auto") -> Shown:
    """Show where a network looks in a picture, in a notebook; no server is started.

    Args:
        model: A :class:`~atmnet.predictions.Predictor`, or what ``atmnet.load`` takes: a run or checkpoint folder, an
            exported file, or the name of weights. A list of two shows both.
        image: A path, a picture of Pillow, an array (H, W, 3) of uint8, or a tensor (C, H, W). A list shows each.
        size: Size in pixels to take pictures at: side of a classifier's square, else the shorter side. Default: the
            network's own.
        device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', ...; not for a Predictor, which has its own.

    Returns:
        An object that notebooks display. Its ``save(path)`` writes the page to a file, and each of its ``explorations``
        has the numbers as ``record()``.

    Raises:
        UserError: If there is no such network, or a picture cannot be read.

    Examples:
        >>> atmnet.explore.show("runs/demo", "photo.jpg")  # doctest: +SKIP
    """
    models = model if isinstance(model, list | tuple) else [model]
    images = image if isinstance(image, list | tuple) else [image]
    explorers = [Explorer(_predictor(each, device)) for each in models]
    return Shown(
        [
            explorer(picture, _name(picture, number, len(images)), size)
            for number, picture in enumerate(images)
            for explorer in explorers
        ]
    )


def frame(page: str, height: int) -> str:
    """An iframe of a page, which may run its own script and save files, and can reach nothing around it."""
    return (
        f'<iframe title="Where the network looks" sandbox="allow-scripts allow-downloads" srcdoc="{escape(page)}" '
        f'style="width:100%;height:{height}px;border:0" loading="eager"></iframe>'
    )


def _predictor(model: Any, device: str) -> Predictor:
    return model if isinstance(model, Predictor) else Predictor(load_task(str(model)), device)


def _name(picture: Any, number: int, count: int) -> str:
    if isinstance(picture, str | Path):
        return Path(picture).name
    return "picture" if count == 1 else f"picture {number + 1}"
