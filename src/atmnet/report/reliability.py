"""The section with the reliability diagram of a classifier: accuracy over the probability of the answer."""

from html import escape

from torch import Tensor

from atmnet.report.curve import Curve, Point, panel
from atmnet.tasks.calibration import calibration_error


def reliability_section(bins: Tensor | None, first: int) -> tuple[str, list[list[Point]]]:
    """HTML of the section, and the points that the pointer shows; both empty without images.

    Args:
        bins: Counts (3, 15); see :func:`~atmnet.tasks.calibration.count_in_bins`.
        first: Number of the panel on the page.
    """
    if bins is None or not bins[0].any():
        return "", []
    images, confidences, correct = bins[:, bins[0] > 0]
    error = f"{calibration_error(bins):.1f}\u202f%"
    line = list(zip((100 * confidences / images).tolist(), (100 * correct / images).tolist(), strict=True))
    curve = Curve(
        "Accuracy by probability", "\u202f%", [[(0.0, 0.0), (100.0, 100.0)]], line, 0.0, 100.0,
        axis="correct answers in % over the probability of the answer in %",
        point="{value} correct at {x:.0f}\u202f%",
        shown=f"calibration error {error}",
    )  # fmt: skip
    html, points = panel(first, curve, 100.0)
    text = (
        "How often answers of a probability are correct; calibrated probabilities lie on the faint diagonal, and above "
        "it they are too low. Points of few images scatter. The mean distance, the expected calibration error, is "
        f"{error}."
    )
    return (
        f'<section id="calibration"><h2>Calibration</h2><p class="lead">{escape(text)}</p>'
        f'<div class="curves single">{html}</div></section>',
        [points],
    )
