"""Pairs: are two digits that are far apart the same? And for segmentation: what is the other digit of a digit's row?

Digits are scikit-learn's, in the split of :class:`~atmnet.data.digits.DigitsReader`; photographs are those of digit
scenes. Training and validation share neither.

Shapes: H x W pixels.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from atmnet.data.generated import GeneratedClasses, GeneratedLabelMaps
from atmnet.data.pair_scene import PairOptions, RowOptions, make_pair, make_rows


class PairClassification(GeneratedClasses[PairOptions]):
    """Pairs of digits: class 0 'different' and class 1 'same', by turns; see :class:`PairOptions` for ``kwargs``.

    Raises:
        UserError: For a split other than 'train' and 'val', and for arguments that are unknown or out of range.
    """

    source = "pairs"
    options_type = PairOptions

    def __init__(self, split: str, **kwargs: Any) -> None:
        super().__init__(split, **kwargs)
        self.classes = ["different", "same"]

    def load(self, index: int, mode: str) -> tuple[Image.Image, int]:
        """The picture in 'RGB' or 'L', and 1 if its two digits are the same, else 0."""
        image, _ = make_pair(self.split, index, self.options)
        return image.convert(mode), index % 2


class PairSegmentation(GeneratedLabelMaps[RowOptions]):
    """Rows of two digits, with label maps: 0 for the photograph, d + 1 where the *other* digit of the row is d.

    See :class:`RowOptions` for ``kwargs``.

    Raises:
        UserError: For a split other than 'train' and 'val', and for arguments that are unknown or out of range.
    """

    source = "pairs"
    options_type = RowOptions

    def __init__(self, split: str, **kwargs: Any) -> None:
        super().__init__(split, **kwargs)
        self.classes = ["background", *(f"beside {digit}" for digit in range(self.options.digit_classes))]

    def load(self, index: int, mode: str) -> tuple[Image.Image, Tensor]:
        """The picture in 'RGB' or 'L', and its label map."""
        image, digits = make_rows(self.split, index, self.options)
        labels = np.zeros(self.options.size, np.uint8)
        for number, digit in enumerate(digits):
            other = digits[number ^ 1]  # the two digits of a row follow each other
            labels[digit.place][digit.alpha > 127] = other.label + 1
        return image.convert(mode), torch.from_numpy(labels)
