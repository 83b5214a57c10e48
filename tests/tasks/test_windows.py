"""Whole, sliding and multi-scale inference, on networks whose answers are known."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from atmnet.tasks import windows
from atmnet.tasks.segmenter import build_segmenter
from atmnet.tasks.windows import label_map, resized_map, segment, sliding_window_map, whole_image_map
from atmnet_cli.errors import UserError
from atmnet_cli.options import ModelOptions


class Pixelwise(nn.Module):
    """A 1 x 1 convolution, which no window changes; remembers the images that it saw."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 1)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return self.conv(x)


class Corner(nn.Module):
    """Says where in its input a pixel is, so that what a window saw can be told."""

    def forward(self, x):
        rows, columns = torch.meshgrid(*(torch.arange(n, dtype=x.dtype) for n in x.shape[-2:]), indexing="ij")
        return torch.stack([rows, columns]).expand(len(x), -1, -1, -1)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.elements = max(self.elements, out.numel())
        return out


def sliding_window_logits(*arguments) -> torch.Tensor:
    predicted = sliding_window_map(*arguments)
    return predicted.rows(0, predicted.height)


def whole_image_logits(*arguments) -> torch.Tensor:
    predicted = whole_image_map(*arguments)
    return predicted.rows(0, predicted.height)


def _image(height: int, width: int) -> torch.Tensor:
    return torch.randn(3, height, width, generator=torch.Generator().manual_seed(height * 1000 + width))


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (40, 16), (5, 40), (7, 3), (1, 1)])
@pytest.mark.parametrize("stride", [1, 5, 10, 16])
def test_windows_change_nothing_pixelwise(size, stride):
    model = Pixelwise()
    image = _image(*size)
    found = sliding_window_logits(model, image, 16, stride)
    assert found.shape == (4, *size)
    assert set(model.seen) == {(1, 3, 16, 16)}
    torch.testing.assert_close(found, whole_image_logits(model, image))


@pytest.mark.parametrize(("length", "stride", "starts"), [(16, 10, [0]), (17, 10, [0, 1]), (36, 10, [0, 10, 20])])
def test_windows_end_at_the_edge_and_overlaps_are_averaged(length, stride, starts):
    """Column numbers of all windows that see a column, averaged by hand."""
    found = sliding_window_logits(Corner(), _image(16, length), 16, stride)
    for column in range(length):
        expected = [column - start for start in starts if start <= column < start + 16]
        assert found[1, :, column].tolist() == pytest.approx([sum(expected) / len(expected)] * 16)
    assert (found[0] == torch.arange(16.0).view(-1, 1)).all()


def test_number_of_windows():
    model = Pixelwise()
    sliding_window_logits(model, _image(40, 25), 16, 10)
    assert len(model.seen) == 4 * 2


def test_default_stride_is_two_thirds():
    by_default, given = Pixelwise(), Pixelwise()
    for model, stride in ((by_default, None), (given, 10)):
        segment(model, _image(40, 25), size=(40, 25), window=16, stride=stride)
    assert len(by_default.seen) == len(given.seen) == 8


@pytest.mark.parametrize("size", [(12, 20), (7, 33), (25, 25)])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"window": 8}, {"window": 8, "stride": 3, "flip": True}, {"scales": (0.5, 1.0, 1.75), "flip": True}],
)
def test_probabilities_of_the_size_asked_for(size, arguments):
    found = segment(Pixelwise(), _image(12, 20), size=size, **arguments)
    assert (found.shape, found.dtype) == ((4, *size), torch.float32)
    assert found.min() >= 0
    torch.testing.assert_close(found.sum(0), torch.ones(size))
    assert not found.requires_grad


def test_whole_is_a_softmax():
    model, image = Pixelwise(), _image(9, 14)
    expected = model(image[None])[0].softmax(0)
    torch.testing.assert_close(segment(model, image, size=(9, 14)), expected)
    torch.testing.assert_close(segment(model, image, size=(9, 14), flip=True), expected)


def test_logits_are_enlarged_before_the_softmax():
    model, image = Pixelwise(), _image(9, 14)
    expected = F.interpolate(model(image[None]), (18, 27), mode="bilinear", align_corners=False)[0].softmax(0)
    torch.testing.assert_close(segment(model, image, size=(18, 27)), expected)


@pytest.mark.parametrize("window", [None, 8])
def test_flip_averages_over_the_mirrored_image(window):
    model = nn.Conv2d(3, 4, 3, padding=1)
    image = _image(11, 13)
    straight, mirrored = (
        segment(model, x, size=(11, 13), window=window, scales=(0.7, 1.0)) for x in (image, image.flip(-1))
    )
    both = segment(model, image, size=(11, 13), window=window, scales=(0.7, 1.0), flip=True)
    torch.testing.assert_close(both, (straight + mirrored.flip(-1)) / 2)
    assert (straight - mirrored.flip(-1)).abs().max() > 0.01


def test_scales_average_probabilities():
    model, image = nn.Conv2d(3, 4, 3, padding=1), _image(12, 16)
    each = [segment(model, image, size=(12, 16), scales=(scale,)) for scale in (0.5, 1.0, 1.5)]
    together = segment(model, image, size=(12, 16), scales=(0.5, 1.0, 1.5))
    torch.testing.assert_close(together, torch.stack(each).mean(0))
    assert (each[0] - each[2]).abs().max() > 0.01


def test_the_model_sees_the_sizes_asked_for():
    model = Pixelwise()
    segment(model, _image(31, 7), size=(31, 7), scales=(0.05, 0.5, 1.0, 2.0))
    assert model.seen == [(1, 3, 2, 1), (1, 3, 16, 4), (1, 3, 31, 7), (1, 3, 62, 14)]


def test_half_precision_is_averaged_in_float32():
    model = Pixelwise().to(torch.bfloat16)
    image = _image(20, 20).to(torch.bfloat16)
    found = segment(model, image, size=(20, 20), window=8, stride=2)
    expected = model(image[None])[0].float().softmax(0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, r"windows\.window: got 0"),
        ({"stride": 4}, r"windows\.stride: got 4 without windows\.window"),
        ({"window": 8, "stride": 0}, r"windows\.stride: got 0, expected 1 to 8"),
        ({"window": 8, "stride": 9}, r"windows\.stride: got 9, expected 1 to 8"),
        ({"scales": ()}, r"windows\.scales: got \(\)"),
        ({"scales": (1.0, 0.0)}, r"windows\.scales: got \(1\.0, 0\.0\)"),
    ],
)
def test_errors_name_the_option(arguments, message):
    with pytest.raises(UserError, match=message):
        segment(Pixelwise(), _image(8, 8), size=(8, 8), **arguments)


@pytest.mark.parametrize("size", [(64, 96), (50, 71), (130, 40), (9, 200)])
@pytest.mark.parametrize("arguments", [{}, {"window": 64, "stride": 40}, {"scales": (0.5, 1.0), "flip": True}])
def test_labels_are_those_of_the_probabilities(size, arguments, monkeypatch):
    """In one stripe bit for bit; in many up to rounding, which decides only between equal classes."""
    model = build_segmenter(ModelOptions(name="atmnet_nano", head="semantic_fpn", channels=32), 7).eval()
    image = _image(96, 75)
    probabilities = segment(model, image, size=size, **arguments)
    assert label_map(model, image, size=size, **arguments).equal(probabilities.argmax(0))
    monkeypatch.setattr(windows, "_STRIPE", 7 * size[1] * 5)
    striped = label_map(model, image, size=size, **arguments)
    chosen = probabilities.gather(0, striped[None])[0]
    torch.testing.assert_close(chosen, probabilities.amax(0), atol=1e-6, rtol=0)
    assert (striped == probabilities.argmax(0)).float().mean() > 0.999


@pytest.mark.parametrize("arguments", [{}, {"window": 8, "stride": 3}, {"scales": (0.5, 1.0), "flip": True}])
def test_labels_of_other_models(arguments, monkeypatch):
    monkeypatch.setattr(windows, "_STRIPE", 100)
    image = _image(12, 20)
    model = Pixelwise()
    expected = segment(model, image, size=(24, 30), **arguments).argmax(0)
    assert (label_map(model, image, size=(24, 30), **arguments) == expected).float().mean() > 0.99


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(40, 30), (23, 17), (7, 5), (10, 11), (1, 1), (333, 3)])
def test_rows_of_an_enlarged_map(height, width, dtype):
    logits = torch.randn(3, 10, 11).to(dtype)
    enlarged = resized_map(windows._held(logits), (height, width))
    rows = torch.cat([enlarged.rows(row, min(row + 3, height)) for row in range(0, height, 3)], 1)
    expected = F.interpolate(logits[None], (height, width), mode="bilinear", align_corners=False)[0]
    assert rows.dtype == dtype
    torch.testing.assert_close(rows, expected, atol=1e-5 if dtype == torch.float32 else 2e-2, rtol=0)


def test_a_segmenter_of_many_classes_holds_no_logits_of_full_size(monkeypatch):
    """The largest tensor that is made has the size of a stripe, not of the picture."""
    monkeypatch.setattr(windows, "_STRIPE", 2**14)
    model = build_segmenter(ModelOptions(name="atmnet_nano", head="semantic_fpn", channels=32), 150).eval()
    with Largest() as largest:
        labels = label_map(model, _image(64, 64), size=(512, 512))
    assert labels.shape == (512, 512)
    assert largest.elements < 150 * 512 * 512 / 10
