"""A file that differs from the model is not kept, and a failure leaves nothing behind."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.export import export_dense, export_model
from atmnet.export.detectors import object_agreement
from atmnet.export.formats import FORMATS
from atmnet.export.pictures import pictures
from atmnet.export.verify import Difference, difference, sizes_to_check, worst
from atmnet_cli.errors import UserError
from tests.export.dense import network
from tests.export.models import spread


@pytest.fixture
def forged(monkeypatch):
    """A function that forges the format 'onnx': its file is a text, and gives the model's outputs plus an error."""

    def forge(error, fail=None):
        def write(job, path):
            if fail is not None:
                raise fail
            path.write_text("file")
            forge.model = job.model

        def run(images):
            with torch.no_grad():
                return [forge.model(torch.from_numpy(images)).numpy() + np.float32(error)]

        forgery = dataclasses.replace(FORMATS["onnx"], write=write, load=lambda path, threads: run, count_nodes=None)
        monkeypatch.setitem(FORMATS, "onnx", forgery)

    return forge


def test_a_good_file_is_kept(forged, nano, tmp_path):
    forged(0.0)
    report = export_model(nano, tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert report.path == tmp_path / "a.onnx"
    assert report.largest == 0
    assert report.agreement == 1
    assert report.bytes == 4
    assert [difference.what for difference in report.differences][:2] == ["1 x 3 x 32 x 32", "2 x 3 x 32 x 32"]
    assert report.seconds > 0
    assert "the same class on 100.0% of" in report.text


def test_other_channels_than_pictures_have(forged, tmp_path):
    forged(0.0)
    model = spread("atmnet_nano", in_chans=4, num_classes=10)
    report = export_model(model, tmp_path / "a.onnx")
    assert (report.pictures, report.agreement) == (0, None)
    assert report.differences[0].what == "1 x 4 x 32 x 32"
    assert "pictures" not in report.text
    with pytest.raises(UserError, match="images: pictures have 1 or 3 channels, but the model takes 4; leave it out"):
        export_model(model, tmp_path / "b.onnx", images=_pictures(tmp_path / "pictures", 1))


@pytest.mark.parametrize("error", [1e-3, float("nan"), float("inf")])
def test_a_file_that_differs_is_not(forged, nano, tmp_path, error):
    (tmp_path / "a.onnx").write_text("an earlier one")
    forged(error)
    with pytest.raises(UserError, match=r"a\.onnx: .* differs from .* on 1 x 3 x 32 x 32, tolerance 5\.0e-06"):
        export_model(nano, tmp_path / "a.onnx")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.onnx", "an earlier one")]


def test_eight_bits_are_judged_by_pictures(forged, nano, tmp_path, monkeypatch):
    """Noise leaves the ranges that pictures have."""
    forged(0.0)
    forgery = FORMATS["onnx"]

    def load(path, threads):
        run = forgery.load(path, threads)
        return lambda images: [run(images)[0] + np.float32(forged.error if len(images) == forged.spoiled else 0)]

    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(forgery, load=load))
    arguments = {"precision": "int8-dynamic", "images": _pictures(tmp_path / "pictures", 3)}
    forged.error, forged.spoiled = 100.0, 1
    assert export_model(nano, tmp_path / "a.onnx", **arguments).differences[0].relative > 1
    forged.spoiled = 8  # pictures are compared in calls of eight, filled up
    with pytest.raises(UserError, match=r"differs from the eager model by .* on 3 pictures"):
        export_model(nano, tmp_path / "b.onnx", **arguments)


def _pictures(folder, count):
    folder.mkdir()
    for number in range(count):
        Image.effect_noise((40, 40), 50 + number).save(folder / f"{number}.png")
    return str(folder)


def test_the_tolerance_is_the_users(forged, nano, tmp_path):
    forged(1e-3)
    assert export_model(nano, tmp_path / "a.onnx", tolerance=2e-3).largest == pytest.approx(1e-3, rel=1e-2)


def test_kinds_have_their_own_tolerances(forged, nano, tmp_path):
    """What passes for a segmenter, whose head adds rounding errors, does not for a classifier."""
    forged(2e-5)
    assert export_dense(network("semantic_fpn", name="test_resnet"), tmp_path / "a.onnx").largest > 1e-5
    with pytest.raises(UserError, match=r"tolerance 5\.0e-06"):
        export_model(nano, tmp_path / "b.onnx")


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(forged, nano, tmp_path, failure):
    forged(0.0, failure)
    with pytest.raises(type(failure)):
        export_model(nano, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_difference():
    theirs = np.array([[3.0, -4.0]])
    measured = difference("x", theirs + np.array([[0.5, 0.0]]), theirs)
    assert (measured.largest, measured.scaled, measured.relative) == pytest.approx((0.5, 0.125, 0.1))
    assert difference("x", np.zeros((1, 3)), theirs).largest == np.inf
    assert difference("x", np.array([[np.nan, -4.0]]), theirs).relative == np.inf


def test_sizes():
    assert sizes_to_check((224, 224), True, 1) == [(1, 224, 224), (2, 224, 224), (1, 200, 264), (1, 161, 99)]
    assert sizes_to_check((32, 48), False, 5) == [(5, 32, 48)]


def test_pictures_come_from_all_over_a_folder(tmp_path):
    for folder in "abcd":
        (tmp_path / folder).mkdir()
        for number in range(5):
            Image.new("L", (4, 4), ord(folder)).save(tmp_path / folder / f"{number}.png")
    assert {image.getpixel((0, 0)) for image in pictures(str(tmp_path), 4)} == {(ord(f),) * 3 for f in "abcd"}


def test_the_worst_of_each_measure():
    """A picture may be the worst by one measure, and another by another."""
    first, second = Difference("a", 1.0, 3e-5, 1e-6), Difference("b", 2.0, 3e-6, 3e-6)
    assert worst("both", [first, second]) == Difference("both", 2.0, 3e-5, 3e-6)


def test_nothing_found_is_not_agreement():
    nothing = [np.zeros((5, 4)), np.zeros(5), np.zeros(5)]
    assert np.isnan(object_agreement(nothing, nothing))


def test_pictures_are_from_all_over(tmp_path):
    for number in range(20):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number:02}.png")
    chosen = [image.getpixel((0, 0))[0] for image in pictures(str(tmp_path), 12)]
    assert len(chosen) == 12
    assert chosen[0] == 0
    assert max(b - a for a, b in zip(chosen, [*chosen[1:], 20], strict=True)) == 2
