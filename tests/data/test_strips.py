"""A strip of pixels needs no more memory than another picture: only what the crop will see is resized."""

import numpy as np
import pytest
import torch
from PIL import Image

import atmnet_runtime
from atmnet.data import UnreadableImage, eval_transform, read_image, train_transform
from atmnet.data.dense_transforms import DetectionTrain, SegmentationEval, SegmentationTrain, sides_after_resize
from atmnet.data.targets import no_objects
from atmnet.predictions.canvas import lettering_for, scaled, with_legend
from atmnet.tasks.detector_transform import DetectorTransform
from atmnet_cli.options import AugmentOptions, DenseOptions

CONFIG = {
    "input_size": (3, 224, 224), "crop_pct": 0.875, "interpolation": "bicubic", "crop_mode": "center",
    "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2),
}  # fmt: skip
STRIPS = [(20000, 1), (1, 20000), (65535, 1), (3, 60000)]


@pytest.fixture
def largest(monkeypatch):
    """The pixels of the largest picture that Pillow resizes to."""
    sizes = []
    resize = Image.Image.resize

    def counted(self, size, *args, **kwargs):
        sizes.append(size[0] * size[1])
        return resize(self, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", counted)
    return sizes


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", STRIPS, ids=str)
def test_evaluation_of_classifiers(size, mode, largest):
    values = eval_transform({**CONFIG, "crop_mode": mode})(Image.new("RGB", size, "white"))
    assert values.shape == (3, 224, 224)
    assert max(largest) <= 2**24
    middle = (torch.ones(3) - torch.tensor(CONFIG["mean"])) / torch.tensor(CONFIG["std"])
    torch.testing.assert_close(values[:, 111, 111], middle)


@pytest.mark.parametrize("size", STRIPS, ids=str)
def test_training_of_classifiers(size, largest):
    transform = train_transform(AugmentOptions(auto_augment="rand-m9-mstd0.5-inc1"), CONFIG)
    assert transform(Image.new("RGB", size)).shape == (3, 224, 224)
    assert max(largest, default=0) <= 2**24


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(977, 33), (40, 900), (500, 333), (30, 20)], ids=str)
def test_the_part_has_the_pixels_of_the_whole(size, mode, interpolation, monkeypatch):
    """Within one level of 255, from rounding of the places; pictures below the limit take the way of before."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    config = {**CONFIG, "crop_mode": mode, "interpolation": interpolation, "pixels": "uint8"}
    whole = atmnet_runtime.preprocess(Image.fromarray(noise), config).astype(int)
    monkeypatch.setattr(atmnet_runtime, "_LARGEST", 0)
    part = atmnet_runtime.preprocess(Image.fromarray(noise), config).astype(int)
    assert np.abs(whole - part).max() <= 1
    assert (whole != part).mean() < 0.005


@pytest.mark.parametrize("size", STRIPS, ids=str)
def test_segmentation(size):
    image = Image.new("RGB", size)
    labels = torch.zeros(size[1], size[0], dtype=torch.uint8)
    assert SegmentationTrain(DenseOptions(crop_size=64), [0] * 3, [1] * 3)(image, labels)[0].shape == (3, 64, 64)
    picture, _ = SegmentationEval(64, [0] * 3, [1] * 3)(image, labels)
    assert sorted(picture.shape[1:]) == [1, 256]


@pytest.mark.parametrize("size", [(30, 20), (20, 30), (25, 25), (400, 31), (7, 900), (1, 50)])
@pytest.mark.parametrize("shorter", [17, 64])
def test_sides_are_torchvisions(size, shorter):
    from torchvision.transforms.functional import _compute_resized_output_size

    theirs = _compute_resized_output_size((size[1], size[0]), [shorter], max_size=4 * shorter)
    assert sides_after_resize(Image.new("L", size), shorter) == [max(1, side) for side in theirs]


@pytest.mark.parametrize("size", STRIPS, ids=str)
def test_detection(size):
    image = Image.new("RGB", size)
    picture, _ = DetectionTrain(DenseOptions(img_sizes=[80], max_img_size=133))(image, no_objects(size[1], size[0]))
    assert sorted(picture.shape[1:]) == [1, 133]
    transform = DetectorTransform(80, 133, [0.5] * 3, [0.2] * 3).eval()
    images, _ = transform([torch.zeros(3, size[1], size[0])])
    assert sorted(images.image_sizes[0]) == [1, 133]


@pytest.mark.parametrize("size", STRIPS, ids=str)
def test_drawings_have_a_legend_of_their_size(size):
    sheet, _ = scaled(Image.new("RGB", size))
    drawing = with_legend(sheet, [((255, 0, 0), "cat", "12 %")], lettering_for(sheet))
    assert drawing.width * drawing.height < 2**24


def test_a_side_has_a_limit(tmp_path):
    Image.new("1", (65536, 1)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match="65536 x 1 pixels; a side has at most 65535"):
        read_image(tmp_path / "a.png")
