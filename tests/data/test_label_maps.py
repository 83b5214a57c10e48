"""A label is what the file says, whatever the depth; a file that may have changed labels is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data import UnreadableImage
from atmnet.data.ade20k import open_ade20k
from atmnet.data.dense_check import check_ade20k
from atmnet.data.label_maps import read_label_map
from atmnet.predictions.results import label_map_image, save_png
from atmnet_cli.options import DataOptions
from tests.data.png import GREY, GREY_ALPHA, PALETTE, RGB, encode_png
from tests.data.tiny_dense import write_ade20k

LABELS = np.random.default_rng(0).integers(0, 2**16, (13, 11))


def labels_of(tmp_path, content):
    (tmp_path / "map.png").write_bytes(content)
    return read_label_map(tmp_path / "map.png")


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("kind", "bits"), [*((GREY, bits) for bits in (1, 2, 4, 8, 16)), *((PALETTE, bits) for bits in (1, 2, 4, 8))]
)
def test_every_depth_keeps_its_labels(tmp_path, kind, bits, interlaced):
    labels = LABELS % 2**bits
    np.testing.assert_array_equal(labels_of(tmp_path, encode_png(labels, bits, kind, interlaced)), labels)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_transparency_is_no_label(tmp_path, bits):
    labels = LABELS % 2**bits
    np.testing.assert_array_equal(labels_of(tmp_path, encode_png(labels, bits, tRNS=b"\0\1")), labels)
    if bits <= 8:
        content = encode_png(labels, bits, PALETTE, tRNS=b"\0\1")
        np.testing.assert_array_equal(labels_of(tmp_path, content), labels)


@pytest.mark.parametrize(("kind", "mode"), [(RGB, "RGB"), (GREY_ALPHA, "LA")])
def test_colours_are_refused(tmp_path, kind, mode):
    colours = np.zeros((4, 4, 3 if kind == RGB else 2), int)
    with pytest.raises(UnreadableImage, match=f"label map has the mode {mode}; expected a grey or palette picture"):
        labels_of(tmp_path, encode_png(colours, 8, kind))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(tmp_path, kind):
    file = io.BytesIO()
    Image.fromarray((LABELS % 4).astype(np.uint8)).save(file, kind)
    with pytest.raises(UnreadableImage, match=f"label map has the format {kind}; expected PNG"):
        labels_of(tmp_path, file.getvalue())


def test_check_data_and_training_read_alike(tmp_path):
    write_ade20k(tmp_path)
    labels = LABELS[:4, :5].repeat(5, 0).repeat(6, 1) % 4
    for path in (tmp_path / "annotations" / "training").iterdir():
        path.write_bytes(encode_png(labels, 4))
    options = DataOptions(source="ade20k", root=str(tmp_path))
    _, target = open_ade20k(options, "training").load(0, "RGB")
    assert torch.equal(target, torch.from_numpy(np.where(labels == 0, 255, labels - 1).astype(np.uint8)))
    check = check_ade20k(options, "training")
    assert not check.errors
    assert set(check.labels) == {0, 1, 2}


@pytest.mark.parametrize("count", [2, 4, 16, 150, 300])
def test_predicted_label_maps_are_read_back(tmp_path, count):
    labels = torch.from_numpy(LABELS % count)
    save_png(label_map_image(labels, count), tmp_path / "map.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "map.png"), labels)
