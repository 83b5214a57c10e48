"""Real pictures to compare on: the user's, or whatever a library at hand brings along."""

from itertools import islice
from pathlib import Path

from PIL import Image

from atmnet.data import EXTENSIONS, UnreadableImage, read_image
from atmnet_cli.errors import UserError

_PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "page")
_MOST = 64
_CALIBRATION = 128


def pictures(folder: str = "", most: int = _MOST, option: str = "images") -> list[Image.Image]:
    """Up to ``most`` pictures of a folder; without one, scikit-image's photographs or scikit-learn's digits, or none.

    Args:
        folder: Searched with all that is below it.
        most: How many, in order of their names.
        option: Who asks, for the error.

    Raises:
        UserError: Where the folder has no pictures, or a broken one.
    """
    if not folder:
        return _photographs() or _digits(most)
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in EXTENSIONS)
    if not found:
        raise UserError(f"{option}: {folder}: no pictures ({' '.join(EXTENSIONS)}) in it")
    count = min(most, len(found))
    chosen = [found[i * len(found) // count] for i in range(count)]  # from all over, as sub-folders may be classes
    try:
        return [read_image(str(path), "RGB") for path in chosen]
    except UnreadableImage as error:
        broken = next(path for path in chosen if _broken(path))
        raise UserError(f"{option}: {broken}: {error}; remove it, or name another folder") from error


def calibration_pictures(folder: str, precision: str) -> list[Image.Image]:
    """Pictures to calibrate on, for the precision that takes some.

    Raises:
        UserError: Where it does and there is no folder, or the folder has no pictures, or a broken one.
    """
    if precision != "int8":
        return []
    if not folder:
        raise UserError("calibration: precision int8 needs a folder of pictures like those that the model is for")
    return pictures(folder, _CALIBRATION, "calibration")


def _broken(path: Path) -> bool:
    try:
        read_image(str(path))
    except UnreadableImage:
        return True
    return False


def _photographs() -> list[Image.Image]:
    """Each whole, and its quarters."""
    try:
        from skimage import data
    except ImportError:
        return []
    found = []
    for name in _PHOTOGRAPHS:
        whole = Image.fromarray(getattr(data, name)()).convert("RGB")
        width, height = whole.size
        corners = [(x, y) for x in (0, width // 2) for y in (0, height // 2)]
        found += [whole, *(whole.crop((x, y, x + width // 2, y + height // 2)) for x, y in corners)]
    return found


def _digits(most: int) -> list[Image.Image]:
    try:
        from atmnet.data import DigitsReader

        reader = DigitsReader("val")
    except UserError:
        return []
    return [image.convert("RGB") for image, _ in islice((reader[i] for i in range(len(reader))), most)]
