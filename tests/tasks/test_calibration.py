"""Temperature scaling and the calibration error."""

import pytest
import torch
import torch.nn.functional as F

from atmnet.tasks.calibration import calibration_error, count_in_bins, fit_temperature
from atmnet_cli.errors import UserError


def _sampled(images=4000, classes=5, seed=0):
    """Logits, and classes drawn from their probabilities, so that the best temperature is near 1."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_a_scale(scale):
    logits, targets = _sampled()
    fitted = fit_temperature(scale * logits, targets)
    assert fitted == pytest.approx(scale, rel=0.05)
    assert fitted == pytest.approx(scale * fit_temperature(logits, targets), rel=1e-6)
    assert fitted == fit_temperature(scale * logits, targets)


def test_no_other_temperature_is_more_likely():
    logits, targets = _sampled(200)
    best = fit_temperature(logits, targets)

    def loss(temperature):
        return F.cross_entropy(logits.double() / temperature, targets).item()

    assert loss(best) < min(loss(1.001 * best), loss(best / 1.001))


def test_separable_and_hopeless_images_are_refused():
    logits = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2]])
    for targets in ([0, 1, 2], [1, 2, 0]):
        with pytest.raises(UserError, match="calibrate: no temperature fits these 3 images"):
            fit_temperature(logits, torch.tensor(targets))


@pytest.mark.parametrize("images", [1, 50, 3000])
def test_the_error_is_that_of_torchmetrics(images):
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, targets = _sampled(images, seed=images)
    logits *= 1.7
    confidences, predicted = logits.softmax(1).max(1)
    bins = count_in_bins(confidences, predicted == targets)
    expected = 100 * multiclass_calibration_error(logits, targets, 5, n_bins=15).item()
    assert calibration_error(bins) == pytest.approx(expected, abs=1e-4)
    assert bins[0].sum() == images


def test_certain_answers_are_in_the_last_bin():
    bins = count_in_bins(torch.tensor([1.0, 1.0]), torch.tensor([True, False]))
    assert bins[:, -1].tolist() == [2, 2, 1]
    assert calibration_error(bins) == pytest.approx(50)


def _sampled_sets(images=2000, classes=5):
    """Logits, and sets of labels drawn from their probabilities."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(images, classes, generator=generator) - 1
    return logits, torch.bernoulli(logits.sigmoid(), generator=generator)


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_temperature_of_sets_of_labels(scale):
    logits, targets = _sampled_sets()
    best = fit_temperature(scale * logits, targets)
    assert best == pytest.approx(scale, rel=0.05)

    def loss(temperature):
        return F.binary_cross_entropy_with_logits(scale * logits.double() / temperature, targets.double()).item()

    assert loss(best) < min(loss(1.001 * best), loss(best / 1.001))
    with pytest.raises(UserError, match="no temperature fits"):
        fit_temperature(logits, (logits > 0).float())


def test_the_error_of_sets_of_labels_is_that_of_torchmetrics():
    from torchmetrics.functional.classification import binary_calibration_error

    from atmnet.tasks.multilabel_meter import MultilabelMeter

    logits, targets = _sampled_sets(300)
    logits *= 1.7
    meter = MultilabelMeter(5, torch.device("cpu"))
    for part in range(0, 300, 128):
        meter.update(logits[part : part + 128], targets[part : part + 128], part)
    bins = meter.result().calibration
    expected = binary_calibration_error(logits.sigmoid().flatten(), targets.flatten().long(), n_bins=15).item()
    assert bins[0].sum() == 300 * 5
    assert calibration_error(bins) == pytest.approx(100 * expected, abs=1e-4)
