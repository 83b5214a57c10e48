"""The section with the reliability diagram of a classifier: accuracy over the probability of the answer."""

from html import escape

from torch import Tensor

from atmnet.report.curve import Curve, Point, panel
from atmnet.tasks.calibration import calibration_error

#: Title, first words, axis, and text of a point: of the one answer for each image, and of the labels of all classes.
_OF_ANSWERS = (
    "Accuracy by probability",
    "How often answers of a probability are correct",
    "correct answers in % over the probability of the answer in %",
    "{value} correct at {x:.0f}\u202f%",
)
_OF_LABELS = (
    "Frequency by probability",
    "How often images have a label of a probability",
    "labels that the images have in % over the probability of the label in %",
    "{value} at {x:.0f}\u202f%",
)


def reliability_section(bins: Tensor | None, first: int, of_labels: bool = False) -> tuple[str, list[list[Point]]]:
    """HTML of the section, and the points that the pointer shows; both empty without images.

    Args:
        bins: Counts (3, 15); see :func:`~atmnet.tasks.calibration.count_in_bins`.
        first: Number of the panel on the page.
        of_labels: Whether the bins count the labels of all classes, instead of the one answer for each image.
    """
    if bins is None or not bins[0].any():
        return "", []
    images, confidences, correct = bins[:, bins[0] > 0]
    error = f"{calibration_error(bins):.1f}\u202f%"
    line = list(zip((100 * confidences / images).tolist(), (100 * correct / images).tolist(), strict=True))
    title, lead, axis, point = _OF_LABELS if of_labels else _OF_ANSWERS
    curve = Curve(
        title, "\u202f%", [[(0.0, 0.0), (100.0, 100.0)]], line, 0.0, 100.0,
        axis=axis,
        point=point,
        shown=f"calibration error {error}",
    )  # fmt: skip
    html, points = panel(first, curve, 100.0)
    text = (
        f"{lead}; calibrated probabilities lie on the faint diagonal, and above it they are too low. Points of few "
        f"images scatter. The mean distance, the expected calibration error, is {error}."
    )
    return (
        f'<section id="calibration"><h2>Calibration</h2><p class="lead">{escape(text)}</p>'
        f'<div class="curves single">{html}</div></section>',
        [points],
    )
