"""scikit-learn's 1,797 real handwritten digits: an embedded data set that needs no download."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from atmnet_cli.errors import UserError, install

_SIDE, _DIGIT = 32, 26


class DigitsReader:
    """A timm-style reader of 8x8 grey pictures, enlarged to 32x32: 1,347 in the split 'train', 450 in 'val'.

    Raises:
        UserError: If scikit-learn is missing, or for any other split.
    """

    class_to_idx: ClassVar[dict[str, int]] = {str(digit): digit for digit in range(10)}

    def __init__(self, split: str) -> None:
        try:
            from sklearn.datasets import load_digits
            from sklearn.model_selection import train_test_split
        except ImportError as error:
            raise UserError(f"data.source: 'digits' needs scikit-learn: {install('demo')}") from error
        digits = load_digits()
        numbers = np.arange(len(digits.target))
        parts = dict(
            zip(("train", "val"), train_test_split(numbers, test_size=450, random_state=0, stratify=digits.target),
                strict=True)
        )  # fmt: skip
        if split not in parts:
            raise UserError(f"data.train, data.val: 'digits' has the splits train and val, not {split!r}")
        self._numbers = np.sort(parts[split])
        self._pictures = [_picture(digits.images[number]) for number in self._numbers]
        self._targets = digits.target[self._numbers].tolist()

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self._pictures[index].copy(), self._targets[index]

    def filename(self, index: int, **_: bool) -> str:
        """The digit's number in scikit-learn's order."""
        return f"digit-{self._numbers[index]:04d}"

    def inventory(self) -> tuple[list[str], list[int], list[int]]:
        """Names, sizes in pixels and labels of the digits."""
        return [self.filename(i) for i in range(len(self))], [_SIDE * _SIDE] * len(self), self._targets


def _picture(ink: NDArray[np.float64]) -> Image.Image:
    """(8, 8) of 0 to 16 -> a picture of 32x32 pixels, with a margin so that random crops do not cut the digit off."""
    digit = Image.fromarray(np.rint(ink / 16 * 255).astype(np.uint8))
    return ImageOps.expand(digit.resize((_DIGIT, _DIGIT), Image.Resampling.BICUBIC), (_SIDE - _DIGIT) // 2)
