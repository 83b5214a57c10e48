"""Detectors as files give the raw outputs of the head, or the objects that torchvision's own code finds."""

import copy

import numpy as np
import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign, batched_nms

from atmnet.export import ExportSettings, export_dense, exportable
from atmnet.export.detectors import TorchvisionDetector, describe_detector, object_agreement, object_difference
from atmnet.export.plain.anchors import best
from atmnet.export.plain.boxes import pool_boxes, suppress
from atmnet.export.plain.one_stage import RawOneStage
from atmnet.export.torch_file import on_arrays
from atmnet.export.verify import farthest
from atmnet.heads import RoIAlign
from atmnet_runtime import ExportedFile
from tests.export.dense import CLASSES, network
from tests.export.test_onnx import assert_plain

ONE_STAGE = ["retinanet", "retinanet_v2", "fcos"]
TWO_STAGES = ["faster_rcnn", "mask_rcnn", "cascade_mask_rcnn"]
SIZES = [(64, 96), (61, 99), (160, 33)]
#: Of the largest difference, over the largest value.
BOUND = 5e-5


def images(size, count=1):
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randn(count, 3, *size, generator=generator)


def eager_outputs(model, reference):
    return on_arrays(reference(copy.deepcopy(model).eval()))


def plain_outputs(dense, **settings):
    """The outputs of a detector in plain operations, in float64."""
    to_outputs = describe_detector(dense, ExportSettings(**settings)).to_outputs
    return on_arrays(to_outputs(exportable(dense.model)).double())


@pytest.mark.parametrize("head", ONE_STAGE + TWO_STAGES)
def test_same_objects(head):
    """In plain PyTorch, in float64."""
    dense = network(head)
    plain = plain_outputs(dense)
    eager = eager_outputs(dense.model.double(), TorchvisionDetector)
    for size in SIZES:
        image = images(size).double().numpy()
        ours, theirs = plain(image), eager(image)
        objects = int((ours[1] > 0).sum())
        assert objects == len(theirs[1]) > 5
        for part, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(part[:objects], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("head", ONE_STAGE)
def test_same_raw_outputs(head):
    """In float64: where a level is a single token, GroupNorm makes rounding large."""
    dense = network(head)
    plain = plain_outputs(dense, raw=True)
    eager = eager_outputs(dense.model.double(), RawOneStage)
    for size in SIZES:
        batch = images(size, 2).double().numpy()
        ours, theirs = plain(batch), eager(batch)
        assert ours[0].shape[0] == 2
        assert ours[0].shape[2] == 5
        assert ours[-1].shape == (ours[0].shape[1], 4)
        np.testing.assert_array_equal(ours[-1], theirs[-1])
        assert farthest("", ours, theirs).scaled <= 1e-8


def test_onnx_of_objects(mask_rcnn_file):
    dense, _, report = mask_rcnn_file
    assert len(check_onnx(dense, report, raw=False)) > 1  # so some rows stand for no object


def test_onnx_of_raw_outputs(raw_file):
    dense, _, report = raw_file
    check_onnx(dense, report, raw=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "raw", "neck"),
    [
        ("retinanet", True, "atmfpn"), ("retinanet_v2", True, "fpn"), ("fcos", True, "atmfpn_aligned"),
        ("retinanet", False, "fpn"), ("fcos", False, "atmfpn"),
        ("faster_rcnn", False, "fpn"), ("mask_rcnn", False, "atmfpn"), ("cascade_mask_rcnn", False, "fpn"),
    ],
)  # fmt: skip
def test_onnx_of_other_networks(head, raw, neck, onnx_libraries, tmp_path):
    sizes, side = ([(256, 256), (200, 300)], 256) if head == "retinanet_v2" else (SIZES, 64)  # see above
    dense = network(head, neck, "atmnet_nano", side, **({"box_score_thresh": 0.1745} if head == "mask_rcnn" else {}))
    check_onnx(dense, export_dense(dense, tmp_path / "a.onnx", raw=raw), raw, sizes)


def check_onnx(dense, report, raw, sizes=SIZES):
    """Compare a file with the detector; returns the different numbers of objects."""
    assert_plain(report.path)
    file, head = ExportedFile(report.path, threads=1), dense.options.head
    assert (file.kind, file.classes, file.config["head"], file.config["raw"]) == ("detection", CLASSES, head, raw)
    assert file.shape == [None if raw else 1, 3, None, None]
    subject = describe_detector(dense, ExportSettings(raw=raw))
    eager, counts = eager_outputs(dense.model, subject.reference), set()
    for size in sizes:
        batch = images(size, 2 if raw else 1).numpy()
        ours, theirs = file.outputs(batch), eager(batch)
        assert subject.comparison.agreement(ours, theirs) > 0.98
        assert subject.comparison.difference("", ours, theirs).scaled <= BOUND
        counts.add(len(theirs[1]) if not raw else -1)
    assert any(words in report.text for words in ("the same ", "no objects in ")) or report.agreement is None
    return counts


@pytest.mark.slow
def test_openvino(tmp_path):
    pytest.importorskip("openvino")
    dense = network("mask_rcnn", name="test_resnet")
    export_dense(dense, tmp_path / "a.xml", to="openvino")
    file, eager = ExportedFile(tmp_path / "a.xml"), eager_outputs(dense.model, TorchvisionDetector)
    for size in SIZES:
        ours, theirs = file.outputs(images(size).numpy()), eager(images(size).numpy())
        assert len(theirs[0]) > 5
        assert object_difference("", ours, theirs).scaled <= BOUND


def test_raw_as_a_torch_program(tmp_path):
    dense = network("fcos", name="test_resnet")
    before = {key: value.clone() for key, value in dense.model.state_dict().items()}
    report = export_dense(dense, tmp_path / "a.pt2", to="torch", raw=True, batch_size=2, img_size=96)
    assert report.differences[0].what == "2 x 3 x 96 x 96"
    program = torch.export.load(report.path).module()
    with torch.no_grad():
        ours, theirs = program(images((96, 96), 2)), RawOneStage(dense.model)(images((96, 96), 2))
    assert farthest("", [x.numpy() for x in ours], [x.numpy() for x in theirs]).scaled <= BOUND
    assert all(torch.equal(before[key], value) for key, value in dense.model.state_dict().items())


def test_suppression():
    """As torchvision's, class by class; boxes without a positive score neither stay nor push others out."""
    boxes = torch.rand(2, 40, 4)
    boxes[..., 2:] += boxes[..., :2]
    scores = torch.rand(2, 3, 40) - 0.2
    kept = suppress(boxes, scores, 0.4)
    for n in range(2):
        classes, rows = (scores[n] > 0).nonzero(as_tuple=True)
        expected = torch.zeros(3, 40, dtype=torch.bool)
        chosen = batched_nms(boxes[n, rows], scores[n, classes, rows], classes, 0.4)
        expected[classes[chosen], rows[chosen]] = True
        assert torch.equal(kept[n], expected)
        assert 3 < expected.sum() < (scores[n] > 0).sum()
    torch.library.opcheck(suppress, (boxes, scores, 0.4))


@pytest.mark.parametrize("aligned", [False, True])
def test_pooling_of_boxes(aligned):
    maps = {str(i): torch.randn(1, 8, 64 >> i, 48 >> i) for i in range(3)}
    corners, sides = torch.rand(60, 2) * torch.tensor([100.0, 150.0]), 2 ** (2 + 4.5 * torch.rand(60, 2))
    boxes = torch.cat([corners, corners + sides], 1)
    pool = RoIAlign([4, 8, 16], 7, aligned=aligned)
    pool.map_levels.s0 = 56  # so that all levels serve some of these
    levels = pool.map_levels([boxes])
    assert levels.unique().tolist() == [0, 1, 2]
    arguments = (list(maps.values()), boxes, levels, pool.scales, 7, 2, aligned)
    assert isinstance(pool, MultiScaleRoIAlign)
    torch.testing.assert_close(pool_boxes(*arguments), pool(maps, [boxes], [(256, 192)]))
    torch.library.opcheck(pool_boxes, arguments)


def test_best_of_few():
    values, rows = best(torch.tensor([0.2, 0.0, 0.9]), 4)
    assert values.tolist() == pytest.approx([0.9, 0.2, 0, 0])
    assert rows.tolist() == [2, 0, 0, 0]


def objects(*rows):
    """From (x0, score, label): boxes of side 10."""
    x = np.array([row[0] for row in rows], np.float32)
    boxes = np.stack([x, 0 * x, x + 10, 0 * x + 10], 1)
    return [boxes, np.array([row[1] for row in rows], np.float32), np.array([row[2] for row in rows])]


def test_comparison_of_objects():
    theirs = objects((0, 0.9, 1), (50, 0.8, 2))
    assert object_agreement(objects((50.1, 0.8, 2), (0, 0.9, 1), (7, 0, 0)), theirs) == 1
    difference = object_difference("x", objects((50.1, 0.8, 2), (0, 0.9, 1), (7, 0, 0)), theirs)
    assert difference.largest == pytest.approx(0.1, rel=1e-4)
    for other in (objects((0, 0.9, 1)), objects((0, 0.9, 1), (50, 0.8, 3)), objects((0, 0.9, 1), (60, 0.8, 2))):
        assert object_agreement(other, theirs) < 0.7
        assert object_difference("x", other, theirs).largest == np.inf
    assert np.isnan(object_agreement(objects((0, 0.0, 0)), objects((0, 0.0, 0))))
