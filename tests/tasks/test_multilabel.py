"""Sets of labels: loss, mixing, and metrics from counts of bounded size."""

import math

import numpy as np
import pytest
import torch

from atmnet.records import Record
from atmnet.tasks.configuration import CLASSIFIERS, classifier_kind
from atmnet.tasks.mixing import SetMixer, multilabel_loss
from atmnet.tasks.multilabel_meter import MultilabelMeter
from atmnet_cli.errors import UserError
from atmnet_cli.options import AugmentOptions

CPU = torch.device("cpu")


def _data(images=300, classes=5, seed=0):
    """Logits that know something of the labels; no image has the last class."""
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.rand(images, classes, generator=generator) < 0.3).float()
    targets[:, -1] = 0
    return 2 * targets - 1.5 + torch.randn(images, classes, generator=generator), targets


def _measured(logits, targets, batch=300, keep=0):
    meter = MultilabelMeter(targets.shape[1], CPU, keep)
    for first in range(0, len(logits), batch):
        meter.update(logits[first : first + batch], targets[first : first + batch], first)
    return meter.result()


def test_the_metrics_are_those_of_torchmetrics():
    classification = pytest.importorskip("torchmetrics.functional.classification")
    logits, targets = _data()
    result = _measured(logits, targets)
    arguments = (logits[:, :4], targets[:, :4].long(), 4)  # torchmetrics warns of a class that no image has
    exact = classification.multilabel_average_precision(*arguments, average=None)
    edges = torch.linspace(-16, 16, 2049)[:-1].sigmoid()
    binned = classification.multilabel_average_precision(*arguments, average=None, thresholds=edges)
    f1 = classification.multilabel_f1_score(*arguments, average=None)
    assert result.ap[:4] == pytest.approx((100 * binned).tolist(), abs=1e-3)
    assert result.ap[:4] == pytest.approx((100 * exact).tolist(), abs=0.2)
    assert math.isnan(result.ap[4])
    assert result.f1[:4] == pytest.approx((100 * f1).tolist(), abs=1e-3)
    assert result.metrics["map"] == pytest.approx(sum(result.ap[:4]) / 4)
    assert result.loss == pytest.approx(float(multilabel_loss(logits, targets)), rel=1e-5)
    assert result.score > 50  # chance is 30


def test_batches_do_not_matter():
    logits, targets = _data()
    whole, parts = _measured(logits, targets, keep=4), _measured(logits, targets, batch=7, keep=4)
    assert (parts.ap[:4], parts.labelled, parts.worst) == (whole.ap[:4], whole.labelled, whole.worst)
    wrong = ((logits >= 0) != targets.bool()).sum(1)
    assert wrong[whole.worst].tolist() == wrong.sort(descending=True).values[:4].tolist()


def test_extremes():
    """Perfect and useless scores, logits that are far away, and a data set without any label."""
    targets = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    assert _measured(200 * targets - 100, targets).metrics["map"] == 100
    assert _measured(torch.zeros(4, 1), targets).metrics["map"] == 50
    assert _measured(100 - 200 * targets, targets).f1 == [0]
    nothing = _measured(torch.zeros(4, 1), torch.zeros(4, 1))
    assert (nothing.score, nothing.metrics["f1"]) == (0, 0)
    assert MultilabelMeter(100_000, CPU)._counts.numel() <= 2**24


def test_smoothing_moves_targets_towards_one_half():
    images, targets = torch.zeros(2, 3, 4, 4), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    _, soft = SetMixer(AugmentOptions(label_smoothing=0.2))(images, targets)
    torch.testing.assert_close(soft, torch.tensor([[0.9, 0.1], [0.9, 0.9]]))


@pytest.mark.parametrize("mix", [{"mixup": 0.8}, {"mixup": 0.8, "cutmix": 1.0}], ids=str)
def test_targets_are_mixed_like_the_images(mix):
    """Image i is i everywhere, so that the mean of a mixed image tells the weights."""
    values, mixer = torch.arange(8.0), SetMixer(AugmentOptions(**mix))
    assert mixer.pairs

    def mixed(targets):
        np.random.seed(0)  # noqa: NPY002 - timm draws from the global generator
        return mixer(values[:, None, None, None].repeat(1, 1, 16, 16), targets)

    images, weights = mixed(torch.eye(8))
    assert not torch.equal(weights, torch.eye(8))
    torch.testing.assert_close(weights @ values, images.mean((1, 2, 3)))
    sets = torch.eye(8) + torch.eye(8).roll(1, 1)
    torch.testing.assert_close(mixed(sets)[1], weights @ sets)


def test_only_classifiers_are_read():
    for kind in CLASSIFIERS:
        assert classifier_kind(Record({"kind": kind}, "config.json")) == kind
    assert classifier_kind(Record({}, "config.json")) == "classification"
    with pytest.raises(UserError, match=r"config.json: kind: got 'detection', expected classification or multilabel"):
        classifier_kind(Record({"kind": "detection"}, "config.json"))
