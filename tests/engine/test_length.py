"""What follows from the length of a run: the warm-up, the lines of the log, and epochs of few images."""

import pytest

from atmnet.engine.length import run_length
from atmnet_cli.options import OptimOptions, TrainOptions


def _length(images=100, **changes):
    optim = OptimOptions(**{name: changes.pop(name) for name in ("warmup_epochs", "warmup_steps") if name in changes})
    return run_length(TrainOptions(output="", optim=optim, **{"batch_size": 10, "epochs": 10, **changes}), images)


@pytest.mark.parametrize(
    ("changes", "steps", "warmup"),
    [
        ({"warmup_epochs": 2}, 100, 20),
        ({"warmup_epochs": 9}, 100, 90),
        ({"warmup_epochs": 10}, 100, 50),
        ({"warmup_epochs": 2, "epochs": 2}, 20, 10),
        ({"warmup_epochs": 5, "epochs": 1}, 10, 5),
        ({"warmup_epochs": 5, "steps": 30}, 30, 15),
        ({"warmup_epochs": 5, "steps": 1}, 1, 0),
        ({"warmup_steps": 99}, 100, 99),
        ({"warmup_steps": 100}, 100, 50),
        ({"warmup_epochs": 0}, 100, 0),
    ],
    ids=str,
)
def test_a_warm_up_that_does_not_fit_takes_half_of_the_run_and_says_so(changes, steps, warmup):
    length = _length(**changes)
    assert (length.steps, length.warmup) == (steps, warmup)
    too_long = warmup == steps // 2
    assert any("of warm-up do not fit this run" in note for note in length.notes) == too_long


@pytest.mark.parametrize(
    ("steps", "log_every", "expected"),
    [(1, None, 1), (9, None, 1), (60, None, 3), (1000, None, 50), (100_000, None, 50), (9, 7, 7), (9, 50, 50)],
)
def test_a_short_run_has_twenty_lines_unless_told_otherwise(steps, log_every, expected):
    assert _length(steps=steps, log_every=log_every).log_every == expected


@pytest.mark.parametrize(("images", "steps"), [(3, 20), (20, 20), (199, 20), (200, 20), (219, 21), (1000, 100)])
def test_an_epoch_of_few_images_passes_over_them_several_times_and_says_so(images, steps):
    length = _length(images, min_epoch_steps=20)
    assert (length.steps_per_epoch, length.steps) == (steps, 10 * steps)
    assert any("min_epoch_steps" in note for note in length.notes) == (images < 200)


def test_milestones_after_the_end_are_named():
    optim = OptimOptions(warmup_epochs=0, sched="multistep", sched_kwargs={"decay_milestones": [1, 8, 11]})
    (note,) = run_length(TrainOptions(output="", optim=optim, batch_size=10, epochs=2), 100).notes
    assert "decay_milestones [8, 11]" in note
