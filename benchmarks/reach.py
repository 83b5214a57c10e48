"""Draw the picture of docs/reach.md, and measure how fast its data are made: ``python -m benchmarks.reach``.

The picture shows the first validation pictures of each data set. The rows are pathfinder, pairs, and pairs for
segmentation with its label maps. In the first two rows the answers are 'different' and 'same' by turns.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.generated import GeneratedSplit
from atmnet.data.pairs import PairClassification, PairSegmentation
from atmnet.data.pathfinder import Pathfinder
from atmnet.files import replacing
from atmnet.predictions.colours import class_colours

_COLUMNS, _SIDE, _SCALE, _GAP = 6, 64, 2, 4
#: Colours of the whole picture, which keep its file small.
_COLOURS = 256


def draw() -> Image.Image:
    """The sheet, whose pictures are enlarged without smoothing."""
    segmentation = [PairSegmentation("val").load(index, "RGB") for index in range(_COLUMNS)]
    rows = [
        [Pathfinder("val", img_size=_SIDE).load(index, "RGB")[0] for index in range(_COLUMNS)],
        [PairClassification("val").load(index, "RGB")[0] for index in range(_COLUMNS)],
        [image for image, _ in segmentation],
        [_coloured(labels.numpy()) for _, labels in segmentation],
    ]
    step = _SIDE * _SCALE + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step - _GAP, len(rows) * step - _GAP), "white")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            large = picture.resize((_SIDE * _SCALE, _SIDE * _SCALE), Image.Resampling.NEAREST)
            sheet.paste(large, (column * step, row * step))
    return sheet.quantize(_COLOURS, dither=Image.Dither.NONE)


def _coloured(labels: NDArray[np.uint8]) -> Image.Image:
    """A label map (H, W) in colours, on black."""
    return Image.fromarray(np.array([(0, 0, 0), *class_colours(10)], np.uint8)[labels])


def pictures_per_second(source: GeneratedSplit[Any], number: int) -> float:
    """How many pictures one core makes in a second of its time."""
    source.load(0, "RGB")  # which reads photographs and digits
    start = time.process_time()
    for index in range(number):
        source.load(index, "RGB")
    return number / (time.process_time() - start)


def main() -> None:
    """Write the picture, and print the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reach", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images/reach.png"), help="default: %(default)s")
    parser.add_argument("--pictures", type=int, default=500, help="pictures to time; default: %(default)s")
    options = parser.parse_args()
    with replacing(options.output) as partial:
        draw().save(partial, "PNG", optimize=True)
    for side in (32, 64, 128):
        speed = pictures_per_second(Pathfinder("train", img_size=side), options.pictures)
        print(f"pathfinder, {side} pixels: {speed:.0f} pictures/s")
    for kind in (PairClassification, PairSegmentation):
        print(f"{kind.__name__}, 64 pixels: {pictures_per_second(kind('train'), options.pictures):.0f} pictures/s")


if __name__ == "__main__":
    main()
