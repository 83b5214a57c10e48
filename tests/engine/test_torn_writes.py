"""A save that fails or is killed at any moment leaves the checkpoint before it whole."""

import errno
import os
import shutil

from atmnet.engine import load_checkpoint, save_checkpoint
from atmnet.engine.checkpoint import amend_checkpoint, prune_checkpoints
from atmnet.tasks import build_classifier
from atmnet_cli.options import ModelOptions
from tests.engine.runs import complete_checkpoints, litter
from tests.processes import call

#: What touches the disk in a save, apart from writing bytes; each fsync stands for the write before it.
_CALLS = {os: ("fsync", "replace", "symlink", "mkdir"), shutil: ("rmtree",)}


def _save(run, step, classifier=None):
    import torch

    classifier = classifier or build_classifier(ModelOptions(name="atmnet_nano"), ["a", "b"], None)
    one, other = torch.ones(9) * step, torch.zeros(3) + step
    save_checkpoint(run, step, classifier, {"w": one}, {"step": step, "seen": [0, other], "t": one})
    amend_checkpoint(run, step, {"seen": [step, other]})
    prune_checkpoints(run, 1, step)


def _intercept(replace):
    """Let ``replace(original)`` stand in for each call to the disk."""
    for module, names in _CALLS.items():
        for name in names:
            setattr(module, name, replace(getattr(module, name)))


def _save_and_die(run, step, survived):
    """In a process of its own: die at the call after ``survived`` ones, without any clean-up."""
    left = [survived]

    def dying(original):
        def stand_in(*args, **kwargs):
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return original(*args, **kwargs)

        return stand_in

    _intercept(dying)
    _save(run, step)


def test_killed_at_every_call(tmp_path):
    run = tmp_path / "run"
    _save(run, 1)
    deaths = 0
    for survived in range(60):
        step = deaths + 2
        if call(_save_and_die, run, step, survived) == 0:
            break
        deaths += 1
        found = [int(path.name[5:]) for path in complete_checkpoints(run)]
        assert found[-1] in (step - 1, step)
        _, trainer = load_checkpoint(run / "last")
        assert trainer["step"] in (step - 1, step)
        assert trainer["seen"][0] in (0, trainer["step"])
        _save(run, step)
        assert [path.name for path in complete_checkpoints(run)] == [f"step-{step:08d}"]
        assert litter(run) == []
    assert deaths > 12
    assert survived < 59


def test_no_space_at_every_call(tmp_path, monkeypatch):
    """An error rather than a death: nothing unfinished stays."""
    run, classifier = tmp_path / "run", build_classifier(ModelOptions(name="atmnet_nano"), ["a", "b"], None)
    _save(run, 1, classifier)
    for module, name in ((os, "fsync"), (os, "replace"), (os, "symlink"), (os, "mkdir")):
        for survived in range(9):
            left, original = [survived], getattr(module, name)

            def failing(*args, original=original, left=left, **kwargs):
                left[0] -= 1
                if left[0] == -1:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return original(*args, **kwargs)

            with monkeypatch.context() as patch:
                patch.setattr(module, name, failing)
                raised = None
                try:
                    _save(run, 2, classifier)
                except OSError as error:
                    raised = error.errno
            assert raised == (errno.ENOSPC if left[0] < 0 else None)
            for link in ("last", "best"):
                assert load_checkpoint(run / link)[1]["step"] in (1, 2)
            complete_checkpoints(run)
            assert litter(run) == []
            shutil.rmtree(run / "checkpoints")
            _save(run, 1, classifier)
