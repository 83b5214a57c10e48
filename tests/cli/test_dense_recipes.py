"""The recipes for COCO and ADE20K ask for what their headers say."""

from functools import cache
from itertools import pairwise

import pytest
import torch

from atmnet.engine.length import run_length
from atmnet.engine.setup import build_schedule
from atmnet.tasks import HEADS
from atmnet_cli.command import parse
from atmnet_cli.options import TrainOptions

#: Recipe -> the training split's images.
IMAGES = {
    "coco_retinanet_1x": 118_287,
    "coco_mask_rcnn_1x": 118_287,
    "coco_mask_rcnn_3x": 118_287,
    "coco_cascade_mask_rcnn_3x": 118_287,
    "ade20k_upernet": 20_210,
    "ade20k_semantic_fpn": 20_210,
    "own_detection": 400,
    "own_segmentation": 400,
}


def recipe(name: str) -> TrainOptions:
    options = parse(["train", "--config", name, "--output", "somewhere"])[1]
    assert isinstance(options, TrainOptions)
    return options


@cache
def rates(name: str) -> list[float]:
    """The learning rate of every step."""
    options = recipe(name)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=options.optim.lr)
    length = run_length(options, IMAGES[name])
    schedule = build_schedule(options.optim, optimizer, length)
    assert schedule is not None
    rates = []
    for step in range(length.steps):
        schedule.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("name", IMAGES)
def test_data_fit_the_head(name):
    options = recipe(name)
    expected = {"detection": "coco", "segmentation": "ade20k"}[HEADS[options.model.head].kind]
    assert options.data.source == ("auto" if name == "own_detection" else expected)


@pytest.mark.parametrize("name", IMAGES)
def test_the_rate_rises_from_almost_nothing_and_ends_low(name):
    course, peak = rates(name), recipe(name).optim.lr
    assert course[0] <= peak / 100
    assert max(course) == pytest.approx(peak, rel=0.01)
    assert course[-1] <= peak / 90


@pytest.mark.parametrize(("times", "drops"), [("1x", (8, 11)), ("3x", (27, 33))])
def test_steps_of_the_usual_schedules(times, drops):
    for name in [name for name in IMAGES if name.endswith(times)]:
        course = rates(name)
        steps_per_epoch = 118_287 // 16
        assert len(course) == (12 if times == "1x" else 36) * steps_per_epoch
        after_warmup = enumerate(pairwise(course[500:]), start=501)
        fallen = {step: after / before for step, (before, after) in after_warmup if after != before}
        # timm lowers the rate with the last step of the epoch before.
        assert fallen == {epoch * steps_per_epoch - 1: pytest.approx(0.1) for epoch in drops}


def test_several_scales_end_with_that_of_evaluation():
    for name in ("coco_mask_rcnn_3x", "coco_cascade_mask_rcnn_3x"):
        dense = recipe(name).dense
        assert (dense.img_sizes[0], dense.img_sizes[-1], dense.max_img_size) == (480, 800, 1333)


def test_upernet_is_as_published():
    options = recipe("ade20k_upernet")
    assert (options.steps, options.batch_size, options.model.channels, options.dense.crop_size) == (
        160_000,
        16,
        512,
        512,
    )
    assert (options.optim.lr, options.optim.weight_decay, options.optim.warmup_steps) == (6e-5, 0.01, 1500)
    course = rates("ade20k_upernet")
    for step in (1500, 80_000, 159_999):
        assert course[step] == pytest.approx(6e-5 * (1 - step / 160_000))  # power 1, to 0
