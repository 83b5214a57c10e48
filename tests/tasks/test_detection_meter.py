"""COCO's metrics against pycocotools."""

import contextlib
import io
import sys

import numpy as np
import pytest
import torch

from atmnet.data.targets import DetectionTarget, no_objects
from atmnet.tasks.detection_meter import DetectionMeter
from atmnet_cli.errors import UserError
from tests.processes import call, start

pytest.importorskip("faster_coco_eval")

CPU = torch.device("cpu")
NAMES = ("ap", "ap50", "ap75", "ap_s", "ap_m", "ap_l", "ar1", "ar10", "ar")
"""In the order of COCOeval.stats."""


def _boxes(rng, n, height, width):
    """Boxes of all sizes on quarters of pixels: some areas and overlaps come out just at COCO's thresholds."""
    sides = np.stack([width, height]) * rng.uniform(0.05, 0.9, (n, 1)) * rng.uniform(0.5, 1, (n, 2))
    sides = np.maximum(np.round(sides * 4) / 4, 1)
    corner = np.round(rng.uniform(0, 1, (n, 2)) * (np.stack([width, height]) - sides) * 4) / 4
    return torch.tensor(np.concatenate([corner, corner + sides], 1), dtype=torch.float32)


def _masks(boxes, height, width, size=1.2):
    """Ellipses that fill their boxes, more or less."""
    rows, columns = torch.arange(height).view(1, -1, 1) + 0.5, torch.arange(width).view(1, 1, -1) + 0.5
    x0, y0, x1, y1 = (side.view(-1, 1, 1) for side in boxes.unbind(1))
    return (((2 * columns - x0 - x1) / (x1 - x0)).square() + ((2 * rows - y0 - y1) / (y1 - y0)).square()) <= size


def _case(seed, images=None, classes=None):
    """Targets, and outputs: shifted truth, some of another class, and inventions; equal scores among them."""
    rng = np.random.default_rng(seed)
    classes = classes or int(rng.integers(1, 5))
    outputs, targets = [], []
    for i in range(images or int(rng.integers(1, 7))):
        height, width = (int(n) for n in rng.integers(40, 240, 2))
        n = int(rng.choice([0, 1, 3, 8]))
        boxes = _boxes(rng, n, height, width)
        masks = _masks(boxes, height, width)
        area = masks.sum((1, 2)).float() * torch.tensor(rng.uniform(0.7, 1, n)).float() + 1
        labels, crowd = torch.tensor(rng.integers(0, classes, n)), torch.tensor(rng.random(n) < 0.2)
        targets.append(DetectionTarget(boxes, labels.long(), masks, crowd, area, 7 * i + 3))

        found = boxes[rng.random(n) < 0.8].repeat(int(rng.integers(1, 3)), 1)
        found += torch.tensor(np.round(rng.normal(0, 2, found.shape) * 4) / 4, dtype=torch.float32)
        found = torch.cat([found, _boxes(rng, int(rng.choice([0, 2, 120], p=[0.4, 0.5, 0.1])), height, width)])
        found[:, 2:] = torch.maximum(found[:, 2:], found[:, :2] + 1)
        if rng.random() < 0.15:
            found = found[:0]
        near = torch.tensor(rng.integers(0, classes, len(found)))
        scores = torch.tensor(rng.random(len(found)).round(1 if seed % 2 else 6), dtype=torch.float32)
        outputs.append(
            {"boxes": found, "labels": near.long(), "scores": scores, "masks": _soft(_masks(found, height, width, 0.9))}
        )
    return outputs, targets, [f"class {k}" for k in range(classes)]


def _soft(masks):
    """As torchvision gives them: (N, 1, H, W) probabilities."""
    return torch.where(masks, 0.75, 0.25).unsqueeze(1)


def _rle(mask):
    from pycocotools import mask as coco_mask

    return coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))


def _xywh(box):
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]


def _pycocotools(outputs, targets, classes):
    """(names and values in 0..1, AP of each class) of boxes and of masks; -1 where there is nothing to measure."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = [
        {
            "id": 1000 * i + j + 1, "image_id": target.image_id, "category_id": label + 1, "bbox": _xywh(box),
            "segmentation": _rle(mask), "area": area, "iscrowd": int(crowd),
        }
        for i, target in enumerate(targets)
        for j, (box, label, mask, crowd, area) in enumerate(
            zip(target.boxes, target.labels.tolist(), target.masks, target.crowd, target.area.tolist(), strict=True)
        )
    ]  # fmt: skip
    truth = COCO()
    truth.dataset = {
        "images": [{"id": t.image_id, "height": t.masks.shape[1], "width": t.masks.shape[2]} for t in targets],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(classes)],
        "annotations": annotations,
        "info": {},
    }
    values, class_ap = {}, {}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        for kind, iou_type in (("box", "bbox"), ("mask", "segm")):
            found = [
                {"image_id": target.image_id, "category_id": label + 1, "score": score}
                | ({"bbox": _xywh(box)} if kind == "box" else {"segmentation": _rle(mask[0] > 0.5)})
                for output, target in zip(outputs, targets, strict=True)
                for box, label, score, mask in zip(
                    output["boxes"], output["labels"].tolist(), output["scores"].tolist(), output["masks"], strict=True
                )
            ]
            coco = COCOeval(truth, truth.loadRes(found) if found else COCO(), iou_type)
            coco.evaluate()
            coco.accumulate()
            coco.summarize()
            values.update({f"{kind}_{name}": value for name, value in zip(NAMES, coco.stats[:9], strict=True)})
            precision = coco.eval["precision"][:, :, :, 0, -1]
            class_ap[kind] = [
                float(p[p >= 0].mean()) if (p >= 0).any() else np.nan for p in np.moveaxis(precision, 2, 0)
            ]
    return values, class_ap


def _measure(outputs, targets, classes, *, masks=True, batch=2, first=0, stride=1):
    meter = DetectionMeter(classes, CPU, masks=masks)
    for at in range(0, len(targets), batch):
        meter.update(outputs[at : at + batch], targets[at : at + batch], first + at * stride, stride)
    return meter.result()


def _agree(result, values, class_ap, images):
    measured = {name: 100 * value for name, value in values.items() if value >= 0}
    assert result.metrics == pytest.approx({**measured, "images": images}, abs=1e-4, rel=0)  # 1e-6 of 0..1, in percent
    for kind, each in class_ap.items():
        np.testing.assert_allclose(result.class_ap[kind], 100 * np.array(each), atol=1e-4, rtol=0)


@pytest.mark.parametrize("tens", range(20))
def test_as_pycocotools(tens):
    """200 random cases, with crowds, equal scores, images without objects, and images in which nothing is found."""
    for seed in range(10 * tens, 10 * tens + 10):
        outputs, targets, classes = _case(seed)
        values, class_ap = _pycocotools(outputs, targets, classes)
        _agree(_measure(outputs, targets, classes), values, class_ap, len(targets))


def test_the_cases_have_what_they_should():
    """All metrics are measured somewhere, and are neither 0 nor 1 as a rule."""
    cases = [_case(seed) for seed in range(200)]
    targets = [target for case in cases for target in case[1]]
    assert sum(len(target.boxes) == 0 for target in targets) > 50
    assert sum(bool(target.crowd.any()) for target in targets) > 50
    assert sum(len(output["boxes"]) == 0 for case in cases for output in case[0]) > 50
    assert sum(len(output["boxes"]) > 100 for case in cases for output in case[0]) > 20
    results = [_measure(*case).metrics for case in cases[:40]]
    for name in NAMES:
        for kind in ("box", "mask"):
            assert sum(5 < result.get(f"{kind}_{name}", 0) < 95 for result in results) > 5, f"{kind}_{name}"


def test_boxes_alone():
    outputs, targets, classes = _case(3, images=5)
    values, class_ap = _pycocotools(outputs, targets, classes)
    for output in outputs:
        del output["masks"]
    result = _measure(outputs, targets, classes, masks=False)
    boxes = {name: value for name, value in values.items() if name.startswith("box")}
    _agree(result, boxes, {"box": class_ap["box"]}, 5)
    assert result.score == result.metrics["box_ap"]
    assert result.text.startswith(f"box AP {result.metrics['box_ap']:.2f} % (AP50 ")
    assert result.text.endswith("on 5 images")
    assert "mask" not in result.text


def test_score_is_that_of_masks():
    result = _measure(*_case(3, images=5))
    assert result.score == result.metrics["mask_ap"] != result.metrics["box_ap"]
    assert f"mask AP {result.score:.2f} %" in result.text


def test_perfect():
    _, targets, classes = _case(8, images=6, classes=3)
    targets = [target.keep(~target.crowd) for target in targets]
    outputs = [
        {"boxes": t.boxes, "labels": t.labels, "scores": torch.ones(len(t.boxes)), "masks": t.masks.unsqueeze(1)}
        for t in targets
    ]
    metrics = _measure(outputs, targets, classes).metrics
    assert {metrics[f"{kind}_{name}"] for kind in ("box", "mask") for name in ("ap", "ap50", "ap75", "ar")} == {100.0}


@pytest.mark.parametrize("masks", [False, True])
def test_nothing_to_find(masks):
    """No objects, with and without something found; no image at all."""
    outputs, _, classes = _case(5, images=3)
    targets = [no_objects(*output["masks"].shape[-2:], i) for i, output in enumerate(outputs)]
    nothing = [{name: value[:0] for name, value in output.items()} for output in outputs]
    for found, true in ((outputs, targets), (nothing, targets), ([], [])):
        result = _measure(found, true, classes, masks=masks)
        assert result.metrics == {"images": len(true)}
        assert result.score == 0
        assert result.text == f"no labelled object on {len(true)} images"
        assert np.isnan(result.class_ap["box"]).all()


def test_order_of_batches_does_not_matter():
    """Among equal scores it is the number in the data set that decides."""
    outputs, targets, classes = _case(11, images=6, classes=2)
    expected = _measure(outputs, targets, classes)
    meter = DetectionMeter(classes, CPU, masks=True)
    for i in (4, 1, 5, 0, 3, 2):
        meter.update([outputs[i]], [targets[i]], i)
    assert meter.result().metrics == expected.metrics


def test_masks_are_kept_as_run_lengths():
    """A hundred masks of a megapixel take no megabytes."""
    boxes = torch.tensor([[100.0, 100, 900, 900]]).repeat(20, 1)
    target = no_objects(1000, 1000)
    meter = DetectionMeter(["a"], CPU, masks=True)
    masks = torch.zeros(20, 1, 1000, 1000, dtype=torch.bool)
    masks[:, :, 100:900, 100:900] = True
    meter.update(
        [{"boxes": boxes, "labels": torch.zeros(20).long(), "scores": torch.rand(20), "masks": masks}], [target], 0
    )
    assert sum(len(counts) for image in meter._metric.detection_mask for _, counts in image) < 200_000


def _share(rank, store, images, expected):
    """The work of one of two processes: every second image; ends with 0 if the result is that of all of them."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    outputs, targets, classes = _case(11, images=images, classes=2)
    result = _measure(outputs[rank::2], targets[rank::2], classes, first=rank, stride=2)
    torch.distributed.destroy_process_group()
    assert result.metrics == expected.metrics
    np.testing.assert_array_equal(result.class_ap["mask"], expected.class_ap["mask"])


@pytest.mark.parametrize("images", [1, 7])
def test_two_processes(tmp_path, images):
    """Of 7 images one process has 4, the other 3; of one image, one has none. Equal scores come in the same order."""
    expected = _measure(*_case(11, images=images, classes=2))
    assert "box_ap" in expected.metrics
    both = [start(_share, rank, str(tmp_path / "store"), images, expected) for rank in (0, 1)]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]


@pytest.mark.parametrize("package", ["torchmetrics.detection", "faster_coco_eval"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"need {package}: pip install 'faster-coco-eval>=.*'torchmetrics>="):
        DetectionMeter(["a"], CPU)


def test_importing_the_meter_loads_no_metrics_library():
    program = """
import sys
import atmnet.tasks.detection_meter
assert not {"torchmetrics", "faster_coco_eval", "pycocotools"} & sys.modules.keys()
"""
    assert call(exec, program) == 0
