"""Which values pictures of more than 8 bits use, and which range of them becomes black to white."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from atmnet.data.dataset import Split
from atmnet.data.images import DARK, UnreadableImage, has_16_bit_colour

#: Pictures that are looked at before a training.
_LOOKS = 4


@dataclass
class Depths:
    """The values of the grey pictures of a split that have more than 8 bits: 16, 32 or floats.

    Attributes:
        value_range: The range that becomes black to white, see ``data.range``.
        low, high: The lowest and highest value.
        deep: Number of these pictures.
        others: Number of pictures of 8 bits.
        floats: Whether there are floats among the values.
    """

    value_range: tuple[float, float] | None = None
    low: float = math.inf
    high: float = -math.inf
    deep: int = 0
    others: int = 0
    floats: bool = False

    def add(self, image: Image.Image) -> str | None:
        """Add a picture, not yet decoded, as it is in its file; returns what is worth noting of it."""
        if has_16_bit_colour(image):
            self.others += 1
            return "16 bits per channel in colour: the upper 8 are read"
        if not image.mode.startswith("I") and image.mode != "F":
            self.others += 1
            return None
        values = np.asarray(image)
        finite = values[np.isfinite(values)]
        self.deep += 1
        self.floats |= image.mode == "F"
        if finite.size:
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        if finite.size < values.size:
            return "values that are not finite: NaN is black"
        return f"{'32-bit float' if image.mode == 'F' else '16-bit'} grey: scaled to 8 bits"

    @property
    def lines(self) -> list[str]:
        """The values, what becomes of them, and the option that fits them if that is better."""
        if self.high < self.low:
            return []
        lines = [f"{self.deep} images of more than 8 bits, values {self.low:g} to {self.high:g}"]
        if self.value_range is not None:
            low, high = self.value_range
            lines.append(f"data.range: {low:g} is black and {high:g} is white")
            if self.low < low or self.high > high:
                lines.append(f"values beyond data.range are clipped; {self._fitting} would hold all")
        elif self.floats:
            lines.append("floats: 0 to 1 becomes black to white, or 0 to 255 in an image that exceeds 1")
            if self.low < 0 or self.high > 255:
                lines.append(f"values beyond are clipped; {self._fitting} would hold all")
        else:
            lines.append("0 is black and 65535 is white")
            if 255 < self.high < 65535 / 4 or self.low < 0 or self.high > 65535:
                lines.append(f"the images become {'nearly black' if self.low >= 0 else 'clipped'}; use {self._fitting}")
        if self.others:
            lines.append(f"{self.others} other images have 8 bits, which data.range does not change")
        return lines

    @property
    def _fitting(self) -> str:
        """The option whose range holds all values; for integers from about 0 on, all that their bits can express."""
        low, high = self.low, self.high
        if not self.floats and 0 <= low < high / 4:
            low, high = 0, 2 ** math.ceil(math.log2(high + 1)) - 1
        return f"--data.range {low:g} {high if not self.floats else float(f'{high:.6g}'):g}"


def dark_note(name: str, image: Image.Image) -> str | None:
    """A line for the user if a picture was read as nearly black; see ``data.range``."""
    if DARK not in image.info:
        return None
    return (
        f"data.range: {name} has more than 8 bits but no value above {image.info[DARK]:g}, so it is nearly black where "
        "65535 is white; train with the range that `atmnet check-data` names"
    )


def first_dark_note(split: Split, mode: str) -> str | None:
    """:func:`dark_note` of the first pictures of a split."""
    for index in range(min(_LOOKS, len(split))):
        try:
            image, _ = split.load(index, mode)
        except UnreadableImage:
            continue
        if note := dark_note(split.name(index), image):
            return note
    return None
