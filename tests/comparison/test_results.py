"""The conclusion and the warnings say no more than the numbers."""

import pytest

from atmnet.comparison.results import _conclusion, _warnings


def model(label, *scores, **more):
    rows = [{"seed": seed, "score": score} for seed, score in enumerate(scores)]
    return {"label": label, "scores": rows, "parameters": 100, "macs": 1000, "failures": [], **more}


FIRST = model("first", 80.0, 80.5, 79.5)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([model("b", 80.2, 80.1, 79.9)], "There is no difference between first and b that 3 seeds can show."),
        ([model("b", 90.0, 90.6, 89.6)], "first is worse than b by 10.1 ± 0.1 points."),
        ([model("b", 70.1, 70.4, 69.6)], "first is better than b by 10.0 ± 0.3 points."),
        (
            [model("b", 70.1, 70.4, 69.6), model("c", 80.2, 80.1, 79.9), model("d", 90.0, 90.6, 89.6)],
            "first is better than b by 10.0 ± 0.5 points; first is worse than d by 10.1 ± 0.3 points; there is no "
            "difference between first and c that 3 seeds can show.",
        ),
        ([model("b")], "There is nothing to compare: too few models could be trained."),
    ],
    ids=["alike", "worse", "better", "all", "failed"],
)
def test_conclusion(others, expected):
    assert _conclusion([FIRST, *others], "first") == expected


def test_one_seed_shows_nothing():
    assert _conclusion([model("first", 80.0), model("b", 90.0)], "first").startswith("One seed cannot show")


def test_more_differences_need_longer_intervals():
    """A difference that one comparison shows may not hold among many."""
    close = model("b", 80.95, 81.05, 80.75)
    assert "worse than b" in _conclusion([FIRST, close], "first")
    many = [model(f"m{number}", 80.2, 80.1, 79.9) for number in range(12)]
    assert "worse than b" not in _conclusion([FIRST, close, *many], "first")


def test_models_that_are_not_alike_are_named():
    warnings = _warnings([FIRST, model("b", 1.0, parameters=111), model("c", 1.0, parameters=109, macs=850)])
    assert warnings == [
        "b has 1.11 times the parameters of first.",
        "c has 0.85 times the multiply-accumulates of first.",
    ]
