"""The table of heads is the only place that says what a head is, and the option lists the same heads."""

from typing import get_args

import pytest
import torch

from atmnet.tasks import HEADS, find_head
from atmnet.tasks.classification import TARGETS
from atmnet.tasks.configuration import CLASSIFIERS
from atmnet.tasks.dense import build_dense
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, Head, Kind, ModelOptions


def test_the_option_lists_the_heads():
    assert get_args(Head) == tuple(HEADS)
    assert {head.kind for head in HEADS.values()} == set(get_args(Kind))


def test_every_kind_of_classifier_says_what_its_targets_are():
    assert tuple(TARGETS) == CLASSIFIERS


def test_a_new_head_takes_a_builder_and_a_line_in_the_table(monkeypatch):
    """What docs/architecture.md promises: nothing else in the house needs to know of it."""
    from atmnet.tasks import heads

    class Finest(torch.nn.Module):
        def __init__(self, channels, num_classes):
            super().__init__()
            self.conv = torch.nn.Conv2d(channels, num_classes, 1)

        def forward(self, maps):
            return self.conv(maps[0])

    def build(body, num_classes):
        return Finest(body.out_channels, num_classes), None, 0.0

    monkeypatch.setitem(heads.HEADS, "toy", heads.Head("segmentation", build, neck=True))
    options = ModelOptions(name="atmnet_nano", head="toy", channels=32)
    network = build_dense(options, DenseOptions(crop_size=64), ["road", "sky"])
    assert network.kind == "segmentation"
    assert network.model.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 2, 64, 64)


def test_a_head_of_another_kind_is_refused():
    with pytest.raises(UserError, match=r"model.head: got 'upernet', expected one of retinanet, .*cascade_mask_rcnn$"):
        find_head("upernet", "detection")
    with pytest.raises(UserError, match=r"model.head: got 'yolo', expected one of classifier, "):
        find_head("yolo")


def test_facts_fit_each_other():
    for name, head in HEADS.items():
        assert (head.build is None) == (head.kind in CLASSIFIERS), name
        assert (head.stages > 0) == (head.kind == "detection"), name
        assert head.first_label == (head.stages == 2), name  # two-stage detectors take 0 for the background
        assert not head.masks or head.stages == 2, name
