"""What digit scenes are made of: photographs and digits that ship inside installed packages."""

import functools
import importlib.util
from pathlib import Path

from PIL import Image

from atmnet.data.digits import DigitsReader
from atmnet_cli.errors import UserError

_PHOTOGRAPHS = {
    "train": (
        "astronaut.png", "brick.png", "camera.png", "coins.png", "grass.png", "hubble_deep_field.jpg", "ihc.png",
        "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg", "china.jpg",
    ),
    "val": ("chelsea.png", "coffee.png", "gravel.png", "flower.jpg"),
}  # fmt: skip

SPLITS = tuple(_PHOTOGRAPHS)

#: Pixels kept around the ink of a picture of a digit, so that enlarging rounds its edge.
MARGIN = 3
#: Level of grey, of 255, where the ink of an enlarged digit ends.
EDGE = 128


def require_packages() -> None:
    """Look whether the packages are there.

    Raises:
        UserError: Where one is missing.
    """
    for package in ("skimage", "sklearn"):
        if importlib.util.find_spec(package) is None:
            raise UserError("data.source: 'scenes' needs scikit-image and scikit-learn: pip install 'atmnet[dense]'")


@functools.cache
def photographs(split: str) -> list[Image.Image]:
    """The photographs as RGB, read without importing the packages that bring them."""
    folders = [_folder("skimage") / "data", _folder("sklearn") / "datasets" / "images"]
    found = []
    for name in _PHOTOGRAPHS[split]:
        paths = [folder / name for folder in folders if (folder / name).is_file()]
        if not paths:
            raise UserError(f"data.source: 'scenes': {name} is neither in {folders[0]} nor in {folders[1]}")
        with Image.open(paths[0]) as image:
            found.append(image.convert("RGB"))
    return found


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@functools.cache
def digits(split: str) -> list[tuple[int, Image.Image]]:
    """Label and ink of each digit, grey, cut out with a margin."""
    reader = DigitsReader(split)
    found = []
    for index in range(len(reader)):
        picture, label = reader[index]
        box = picture.point(_threshold).getbbox()
        assert box is not None
        x0, y0, x1, y1 = box
        found.append((label, picture.crop((x0 - MARGIN, y0 - MARGIN, x1 + MARGIN, y1 + MARGIN))))
    return found


def _threshold(level: int) -> int:
    return 255 if level > EDGE else 0
