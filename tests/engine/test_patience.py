"""Early stopping: the same last step and the same bits, however often the run was killed."""

import pytest

from atmnet.engine import train
from atmnet.engine.patience import Patience
from atmnet.records import Record
from atmnet_cli.errors import UserError
from tests.engine.runs import RANDOM, assert_same_run, metrics, tiny

#: Scores do not change, so the first evaluation has the best.
STILL = {**RANDOM, "optim.lr": 1e-12, "optim.warmup_lr": 1e-12, "optim.min_lr": 1e-12, "evaluate_every": 1}


@pytest.mark.parametrize("killed_after", [2, 7, 9])
def test_it_stops_at_the_same_step_after_a_kill(root, tmp_path, die_after, capsys, killed_after):
    options = {**STILL, "patience": 2}
    train(tiny(root, tmp_path / "whole", options))
    assert [line["step"] for line in metrics(tmp_path / "whole") if line["kind"] == "evaluate"] == [3, 6, 9]
    assert "stopped early: 2 evaluations without a score above" in capsys.readouterr().out
    with pytest.raises(die_after(killed_after)):
        train(tiny(root, tmp_path / "parts", options))
    die_after(None)
    train(tiny(root, tmp_path / "parts", options))
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    capsys.readouterr()
    train(tiny(root, tmp_path / "whole", options))
    assert "this run is complete" in capsys.readouterr().out


def test_more_patience_continues_the_run(root, tmp_path):
    """The steps of a run do not depend on it."""
    train(tiny(root, tmp_path / "a", {**STILL, "patience": 1}))
    train(tiny(root, tmp_path / "a", STILL))
    train(tiny(root, tmp_path / "b", STILL))
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_an_improvement_must_exceed_min_delta():
    patience = Patience(2, 0.5)
    for score in (70.0, 70.4, 70.6, 70.9):
        assert not patience.is_exhausted
        patience.add(score)
    assert (patience.highest, patience.waited) == (70.6, 1)
    patience.add(71.1)
    assert patience.is_exhausted
    again = Patience(2, 0.5)
    again.load_state(Record(patience.state(), "trainer.json"))
    assert again == patience
    again.load_state(Record({}, "trainer.json"))  # of an earlier version
    assert again == patience


@pytest.mark.parametrize(("option", "message"), [("patience", "got 0, expected at least 1"), ("min_delta", "got -1")])
def test_numbers_out_of_range_are_refused(root, tmp_path, option, message):
    with pytest.raises(UserError, match=f"{option}: {message}"):
        train(tiny(root, tmp_path / "run", {option: 0 if option == "patience" else -1}))
