"""The reports of detectors and segmenters."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data.scenes import SceneDetection, SceneSegmentation
from atmnet.data.targets import DetectionTarget
from atmnet.engine import evaluate
from atmnet.report import write_detection_report, write_segmentation_report
from atmnet.report.classes import Column, classes_section
from atmnet.report.precision import precision_section
from atmnet.report.worst_label_maps import SegmentedImage, worst_label_maps_section
from atmnet.report.worst_objects import DetectedImage, worst_objects_section
from atmnet.tasks import make_task
from atmnet.tasks.dense import build_dense
from atmnet_cli.options import DataOptions, DenseOptions, EvaluateOptions, ModelOptions
from tests.browser import chromium, watched
from tests.report.reports import Page
from tests.report.reports import report as classification_report
from tests.report.reports import written as written_classification

pytest.importorskip("faster_coco_eval")

EVIL = '<evil a="1">&amp;</script>'
SCENES = {"img_size": 64, "images": [8, 6]}
WRITERS = {
    "faster_rcnn": (SceneDetection, write_detection_report, "box_ap"),
    "mask_rcnn": (SceneDetection, write_detection_report, "mask_ap"),
    "semantic_fpn": (SceneSegmentation, write_segmentation_report, "miou"),
}
SMALL = {"anchor_sizes": [8, 16, 24, 32, 48], "representation_size": 16, "box_detections_per_img": 5}


def _write(head, path, keep=3):
    split, write, score = WRITERS[head]
    source = split("val", **SCENES)
    source.name = lambda index: f"{EVIL}{index}.png"
    options = ModelOptions(name="atmnet_nano", head=head, neck="fpn", channels=16)
    options.head_kwargs = {"channels": 32} if head == "semantic_fpn" else dict(SMALL)
    network = build_dense(options, DenseOptions(img_sizes=[64], max_img_size=64, crop_size=64), source.classes)
    network.model.eval()
    task = make_task(network, keep_mistakes=keep)
    data = DataOptions(source="scenes", workers=0, kwargs=SCENES)
    result = evaluate(EvaluateOptions(model="", batch_size=3, device="cpu"), task, data)
    metrics = [{"kind": "train", "epoch": 0.5, "loss": 1.0}, {"kind": "evaluate", "epoch": 1.0, score: 12.5}]
    write(task, result, source, metrics, EVIL, {"Model": EVIL}, path)
    page = Page(path.read_text("utf-8"))
    assert not page.open
    return page


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of each kind as (path, page)."""
    folder = tmp_path_factory.mktemp("pages")
    return {head: (folder / f"{head}.html", _write(head, folder / f"{head}.html")) for head in WRITERS}


@pytest.mark.parametrize("head", WRITERS)
def test_sections_and_escaped_names(pages, head):
    _, page = pages[head]
    middle = ["precision", "confusion"] if head.endswith("rcnn") else ["confusion"]
    assert page.sections() == ["curve", "classes", *middle, "mistakes", "looks"]
    assert not [tag for tag, _ in page.elements if tag == "evil"]
    assert page.text.count("</script>") == 2
    assert page.said().count(EVIL) >= 4
    assert "12.5 %" in page.said()
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")) or tag == "a"
    data = json.loads("".join(data for tag, data in page.texts if tag == "script" and data.startswith("{")))
    figures = [attributes["data-curve"] for _, attributes in page.elements if "data-curve" in attributes]
    assert figures == [str(number) for number in range(len(data["curves"]))]
    assert len(data["looks"][0]["examples"]) == 6
    assert len(page.text) < 500_000


def test_only_the_worst_images_are_shown(pages):
    page = pages["semantic_fpn"][1]
    assert page.said().count("of the pixels are wrong") == 3
    shares = [float(share) for share in re.findall(r"([\d.]+) % of the pixels are wrong", page.said())]
    assert shares == sorted(shares, reverse=True)


def test_a_detector_without_counts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected that of a task with keep_mistakes"):
        _write("faster_rcnn", tmp_path / "page.html", keep=0)


def test_missed_and_invented_objects():
    boxes = torch.tensor([[1.0, 1, 9, 9], [20, 20, 30, 30]])
    target = DetectionTarget(
        boxes, torch.tensor([0, 1]), torch.ones(2, 40, 40, dtype=torch.bool), torch.tensor([False, False]),
        torch.ones(2), 1,
    )  # fmt: skip
    output = {
        "boxes": torch.cat([boxes[:1], boxes[:1] + 25]),
        "labels": torch.tensor([0, 1]),
        "scores": torch.tensor([0.9, 0.8]),
        "masks": torch.ones(2, 1, 40, 40),
    }
    html = worst_objects_section(
        iter([DetectedImage("a.png", Image.new("RGB", (40, 40)), target, output)]), ["cup", "b&c"], 1, 1
    )
    page = Page(html)
    assert "missed b&c · invented b&c" in page.said()
    panels = [attributes["aria-label"] for tag, attributes in page.elements if attributes.get("role") == "img"]
    assert panels == ["labels: cup, b&c", "answer: cup 90\u202f%, b&c 80\u202f%"]
    tags = [attributes["class"] for tag, attributes in page.elements if attributes.get("class", "").startswith("tag")]
    assert tags == ["tag found", "tag lost", "tag found", "tag lost"]
    assert sum(attributes.get("href", "").startswith("data:image/png") for _, attributes in page.elements) >= 2
    assert "There are none" in worst_objects_section(iter([]), ["cup"], 0, 0)


def test_a_label_map_with_ignored_pixels():
    target = np.zeros((4, 8), np.uint8)
    target[:, 4:] = 255
    output = np.zeros((4, 8), np.int64)
    output[:, 3:] = 1
    html = worst_label_maps_section(
        iter([SegmentedImage("a.png", Image.new("RGB", (8, 4)), target, output)]), ["road", "sky"]
    )
    assert "25.0\u202f%" in html, "4 of the 16 pixels that count"
    assert "There are none" in worst_label_maps_section(iter([]), ["road"])


def test_the_table_begins_with_the_lowest_score():
    columns = [Column("objects", [4, 0, 9], is_percent=False), Column("AP", [50.0, float("nan"), 20.0])]
    page = Page(classes_section("", ["a", "b", "c"], columns))
    assert [data for tag, data in page.texts if tag == "th"] == ["c", "a", "b"]
    cells = [attributes["data-value"] for tag, attributes in page.elements if tag == "td"]
    assert cells == ["9", "20.0000", "4", "50.0000", "0", ""]


def test_precision_of_classes_that_occur():
    precision = torch.full((10, 101, 3), torch.nan)
    precision[:, :, 0] = 0.5
    precision[:, :, 2] = torch.linspace(1, 0, 101)
    html, points = precision_section(precision, "box", ["a", "b", "c"], first=2)
    assert re.findall(r'data-curve="(\d+)"', html) == ["2", "3", "4"]
    assert points[0][0][2] == "precision 75.0\u202f% at recall 0.00"
    assert html.count("AP50 50.0\u202f%") == 3
    assert precision_section(torch.full((10, 101, 2), torch.nan), "box", ["a", "b"], 0) == ("", [])


@pytest.mark.parametrize("head", ["classifier", *WRITERS])
def test_in_a_browser(pages, head, tmp_path):
    """No sideways scrolling, no request, nothing on the console; the table sorts."""
    if head == "classifier":
        written_classification(tmp_path, facts=classification_report().facts)
        path = tmp_path / "report.html"
    else:
        path, _ = pages[head]
    with chromium() as browser:
        for width, scheme in ((1280, "light"), (360, "light"), (1280, "dark")):
            size = {"width": width, "height": 800}
            page, problems = watched(browser, ("file:", "data:"), viewport=size, color_scheme=scheme)
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (background == "rgb(19, 20, 23)") == (scheme == "dark")
            if head != "classifier":
                heading = page.locator(".classes thead button").last
                heading.focus()
                page.keyboard.press("Enter")
                assert page.locator(".classes [aria-sort]").count() == 1
                values = page.eval_on_selector_all(
                    ".classes tbody td:last-child", "cells => cells.map((cell) => cell.dataset.value)"
                )
                numbers = [float(value) for value in values if value]
                assert numbers == sorted(numbers)
                assert values[: len(numbers)] == [value for value in values if value]
            assert problems == []
            page.close()
