"""Real pictures to calibrate and compare on: the user's, or those of an installed library."""

from itertools import islice
from pathlib import Path

from PIL import Image

from atmnet.data import EXTENSIONS, UnreadableImage, read_image
from atmnet.data.listing import list_pictures
from atmnet.export.settings import ExportSettings
from atmnet.export.subject import Subject
from atmnet_cli.errors import UserError
from atmnet_runtime import Array

#: The values that become black and white, see ``data.range``.
Range = tuple[float, float] | None

_PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "page")
_CALIBRATION = 128


def comparison_pictures(settings: ExportSettings, subject: Subject, most: int, value_range: Range) -> list[Array]:
    """Up to ``most`` pictures to compare on, each (C, H, W) as the file takes it.

    Models that take neither 1 nor 3 channels have none, unless the settings name a folder.

    Raises:
        UserError: If the folder has no pictures, or a broken one, or the model takes other channels.
    """
    folder, option = (settings.images, "images") if settings.images else (settings.calibration, "calibration")
    channels = subject.config["input_size"][0]
    if channels not in (1, 3):
        if folder:
            raise UserError(f"{option}: pictures have 1 or 3 channels, but the model takes {channels}; leave it out")
        return []
    return [subject.prepare(image, not settings.dynamic) for image in pictures(folder, most, option, value_range)]


def calibration_pictures(settings: ExportSettings, subject: Subject, value_range: Range) -> list[Array]:
    """Pictures to calibrate on, each (C, H, W), all of one size; none if the settings name no folder.

    Raises:
        UserError: If the folder has no pictures, or a broken one.
    """
    if not settings.calibration:
        return []
    return [
        subject.prepare(image, True)
        for image in pictures(settings.calibration, _CALIBRATION, "calibration", value_range)
    ]


def pictures(folder: str, most: int, option: str = "images", value_range: Range = None) -> list[Image.Image]:
    """Up to ``most`` pictures of a folder; without one, scikit-image's photographs or scikit-learn's digits, or none.

    Args:
        folder: Searched with its sub-folders.
        most: Number of pictures, spread evenly over the names in natural order.
        option: The option that names the folder, for the error.
        value_range: The values that become black and white, see ``data.range``.

    Raises:
        UserError: If the folder has no pictures, or a broken one.
    """
    if not folder:
        return (_photographs() or _digits(most))[:most]
    files = [Path(folder) / name for name in list_pictures(folder).pictures] if Path(folder).is_dir() else []
    if not files:
        raise UserError(f"{option}: {folder}: no pictures in it; expected files that end in {' '.join(EXTENSIONS)}")
    count = min(most, len(files))
    chosen = [files[i * len(files) // count] for i in range(count)]  # sub-folders may be classes
    return [_read(path, option, value_range) for path in chosen]


def _read(path: Path, option: str, value_range: Range) -> Image.Image:
    try:
        return read_image(path, "RGB", value_range)
    except UnreadableImage as error:
        raise UserError(f"{option}: {path}: {error}; remove it, or name another folder") from error


def _photographs() -> list[Image.Image]:
    """Each photograph, and its quarters."""
    try:
        from skimage import data
    except ImportError:
        return []
    images = []
    for name in _PHOTOGRAPHS:
        whole = Image.fromarray(getattr(data, name)()).convert("RGB")
        width, height = whole.size
        corners = [(x, y) for x in (0, width // 2) for y in (0, height // 2)]
        images += [whole, *(whole.crop((x, y, x + width // 2, y + height // 2)) for x, y in corners)]
    return images


def _digits(most: int) -> list[Image.Image]:
    try:
        from atmnet.data import DigitsReader

        reader = DigitsReader("val")
    except UserError:
        return []
    return [image.convert("RGB") for image, _ in islice((reader[i] for i in range(len(reader))), most)]
