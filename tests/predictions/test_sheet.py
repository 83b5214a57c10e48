"""Contact sheets."""

import numpy as np
import pytest
from PIL import Image

from atmnet.predictions import contact_sheet


def _tile(sheet: Image.Image, column: int = 0, row_top: int = 16, tile: int = 160) -> np.ndarray:
    left = 16 + column * (tile + 16)
    return np.asarray(sheet)[row_top : row_top + tile, left : left + tile]


def _ink(sheet: Image.Image, top: int) -> np.ndarray:
    """Columns of a sheet that have ink below ``top``."""
    return np.flatnonzero((np.asarray(sheet)[top:].min(-1) < 200).any(0))


def test_grid_of_tiles():
    tiles = [(Image.new("RGB", (8, 8)), ["one", "two"])] * 7
    sheet = contact_sheet(tiles, columns=3)
    bare = contact_sheet([(image, []) for image, _ in tiles], columns=3)
    assert sheet.mode == "RGB"
    assert bare.size == (3 * 176 + 16, 3 * 176 + 16)
    assert sheet.width == bare.width
    assert sheet.height > bare.height


def test_columns_follow_the_number_of_tiles():
    def width(n: int) -> int:
        return contact_sheet([(Image.new("L", (2, 2)), [])] * n).width

    assert width(1) == 192
    assert width(10) == 4 * 176 + 16
    assert contact_sheet([(Image.new("L", (2, 2)), [])], columns=9).width == 192


def test_tiny_images_stay_pixels():
    pixels = np.array([[0, 255, 90], [10, 20, 30]], dtype=np.uint8)
    tile = _tile(contact_sheet([(Image.fromarray(pixels), [])]))
    enlarged = tile[(160 - 106) // 2 :, (160 - 159) // 2 :][:106, :159, 0]
    assert (enlarged == np.kron(pixels, np.ones((53, 53), dtype=np.uint8))).all()


@pytest.mark.parametrize(("size", "expected"), [((300, 100), (160, 53)), ((70, 140), (80, 160)), ((1, 3000), (1, 160))])
def test_nothing_is_distorted(size, expected):
    tile = _tile(contact_sheet([(Image.new("RGB", size, (200, 0, 0)), [])]))
    red = (tile == (200, 0, 0)).all(-1)
    assert (red.any(0).sum(), red.any(1).sum()) == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"])
def test_any_mode_and_one_pixel(mode):
    sheet = contact_sheet([(Image.new(mode, (1, 1)), ["x"]), (Image.new(mode, (90, 70)), ["y"])])
    assert sheet.mode == "RGB"


def test_transparency_is_white():
    tile = _tile(contact_sheet([(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), [])]))
    assert (tile == 255).all()


def test_long_captions_are_cut_to_the_tile():
    long = "a caption that is much too long for the tile it stands under"
    sheet = contact_sheet([(Image.new("L", (8, 8)), [long, "short"]), (Image.new("L", (8, 8)), [])], columns=2)
    columns = _ink(sheet, 178)
    assert columns.min() >= 15
    assert 140 < columns.max() < 16 + 160
    assert contact_sheet([(Image.new("L", (8, 8)), [""])]).height > 192


def test_at_most_three_lines():
    tile = (Image.new("L", (8, 8)), ["1", "2", "3"])
    assert contact_sheet([tile]).size == contact_sheet([(tile[0], [*tile[1], "4", "5"])]).size


@pytest.mark.parametrize("caption", ["Übergröße", "北京.jpg", "a\nb\tc", "emoji 🐈", "…", "<b>&amp;"])
def test_captions_in_any_script(caption):
    sheet = contact_sheet([(Image.new("L", (8, 8)), [caption])])
    assert len(_ink(sheet, 178)) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tiles": []}, "tiles: got none"),
        ({"columns": 0}, "columns: got 0, expected at least 1"),
        ({"tile": 3}, "tile: got 3, expected at least 16"),
    ],
)
def test_errors_name_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(**{"tiles": [(Image.new("L", (1, 1)), [])], **arguments})
