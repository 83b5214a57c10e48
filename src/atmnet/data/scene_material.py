"""The photographs and digits of digit scenes and pairs, which ship with installed packages."""

import functools
import importlib.util
from pathlib import Path

from PIL import Image

from atmnet.data.digits import DigitsReader
from atmnet_cli.errors import UserError, install

_PHOTOGRAPHS = {
    "train": (
        "astronaut.png", "brick.png", "camera.png", "coins.png", "grass.png", "hubble_deep_field.jpg", "ihc.png",
        "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg", "china.jpg",
    ),
    "val": ("chelsea.png", "coffee.png", "gravel.png", "flower.jpg"),
}  # fmt: skip

#: Pixels kept around a digit when it is cropped, so that resizing gives it a soft edge.
MARGIN = 3
#: Grey level, of 255, at which the edge of an enlarged digit lies.
EDGE = 128


def require_packages() -> None:
    """Check that the packages with the photographs and digits are installed.

    Raises:
        UserError: If one is missing.
    """
    for package in ("skimage", "sklearn"):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"data.source: digits on photographs need scikit-image and scikit-learn: {install('dense')}"
            )


@functools.cache
def photographs(split: str) -> list[Image.Image]:
    """The photographs of a split as RGB, read without importing the packages that contain them."""
    folders = [_folder("skimage") / "data", _folder("sklearn") / "datasets" / "images"]
    images = []
    for name in _PHOTOGRAPHS[split]:
        paths = [folder / name for folder in folders if (folder / name).is_file()]
        if not paths:
            raise UserError(f"data.source: the photograph {name} is neither in {folders[0]} nor in {folders[1]}")
        with Image.open(paths[0]) as image:
            images.append(image.convert("RGB"))
    return images


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@functools.cache
def digits(split: str) -> list[tuple[int, Image.Image]]:
    """The label of each digit of a split, and its grey picture, cropped with a margin."""
    reader = DigitsReader(split)
    cropped = []
    for index in range(len(reader)):
        picture, label = reader[index]
        box = picture.point(_threshold).getbbox()
        assert box is not None
        x0, y0, x1, y1 = box
        cropped.append((label, picture.crop((x0 - MARGIN, y0 - MARGIN, x1 + MARGIN, y1 + MARGIN))))
    return cropped


def _threshold(level: int) -> int:
    return 255 if level > EDGE else 0
