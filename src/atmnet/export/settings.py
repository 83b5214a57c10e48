"""The settings of an export, which are the same for every kind of network and every format."""

from dataclasses import dataclass
from typing import Literal, get_args

from atmnet_cli.errors import UserError, check_minimums

#: What a file takes: floats that are already normalised, floats in 0..1, or bytes.
Pixels = Literal["normalised", "unit", "uint8"]
Precision = Literal["fp32", "fp16", "int8", "int8-dynamic"]


@dataclass(frozen=True)
class ExportSettings:
    """How a network is written and checked. The names and defaults are those of the options of ``atmnet export``.

    Attributes:
        to: The format, a key of :data:`atmnet.export.formats.FORMATS`.
        dynamic: Whether the file takes any batch, height and width. Formats that cannot leave sizes open ignore it,
            and files of whole detectors take one image at a time in any case.
        batch_size: Images per call, if the batch is fixed.
        img_size: Side of the square images in pixels, if sizes are fixed, and of the images that the check uses.
            Default: the model's own; for a segmenter the crop of its training, for a detector the shorter side of
            its evaluation.
        pixels: What the file takes: floats that are already normalised, floats in 0..1 ('unit'), or 'uint8'.
        raw: Detectors of one stage: write the outputs of the head rather than objects.
        precision: Precision of weights and products. 'int8' needs ``calibration``.
        calibration: Folder of pictures like those that the network is for, for 'int8'.
        images: Folder of pictures to compare on. Default: those to calibrate on, else those of scikit-image or
            scikit-learn if one of them is installed.
        tolerance: Largest difference from the eager model that passes. Default: see
            :data:`atmnet.export.kinds.TASK_EXPORTS`.

    Raises:
        UserError: For a number that is too small, or unknown pixels. Formats and kinds of networks check the rest.
    """

    to: str = "onnx"
    dynamic: bool = True
    batch_size: int = 1
    img_size: int | None = None
    pixels: Pixels = "normalised"
    raw: bool = False
    precision: Precision = "fp32"
    calibration: str = ""
    images: str = ""
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_minimums(self, {"batch_size": 1, "img_size": 3, "tolerance": 0})
        if self.pixels not in get_args(Pixels):
            raise UserError(f"pixels: got {self.pixels!r}, expected one of {', '.join(get_args(Pixels))}")
