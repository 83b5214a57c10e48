"""Pictures to begin with: photographs, or digits for a network that takes small pictures."""

from pathlib import Path

from PIL import Image

from atmnet.data import DigitsReader
from atmnet.tasks import Network
from atmnet_cli.errors import UserError

_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
_DIGITS = 6
_SMALL = 64
"""A network whose pictures have at most so many pixels on a side is shown digits."""


def write_examples(network: Network, folder: Path) -> list[Path]:
    """Write pictures that suit a network to ``folder``. There are none without the library that they come with."""
    pictures = _digits() if network.config["input_size"][-1] <= _SMALL else _photographs()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, picture in pictures.items():
        paths.append(folder / f"{name}.png")
        picture.save(paths[-1])
    return paths


def _photographs() -> dict[str, Image.Image]:
    try:
        from skimage import data
    except ImportError:
        return {}
    return {name: Image.fromarray(getattr(data, name)()) for name in _PHOTOGRAPHS}


def _digits() -> dict[str, Image.Image]:
    try:
        reader = DigitsReader("val")
    except UserError:  # scikit-learn is not installed
        return {}
    pictures: dict[int, Image.Image] = {}
    for i in range(len(reader)):
        image, label = reader[i]
        pictures.setdefault(label, image)
        if len(pictures) == _DIGITS:
            break
    return {f"digit-{label}": image for label, image in sorted(pictures.items())}
