"""TensorBoard's files show what metrics.jsonl says and a few pictures, once, however often the run was killed."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data import Batch
from atmnet.engine import read_metrics, train
from atmnet.engine.board import ANSWERS, BATCH
from atmnet.predictions import board
from atmnet.predictions.board import DRAW, draw_batch
from atmnet.tasks import open_training, start_task
from tests.engine.runs import DETECTOR, SEGMENTER, assert_same_run, tiny
from tests.processes import torchrun

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

#: Steps of the pictures of a run of 12 steps in 4 epochs, evaluated after 2 and 4.
ONCE = {BATCH: [0], ANSWERS: [6, 12]}


def _events(folder):
    events = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "scalars": 0})
    events.Reload()
    return events


def _pictures(folder):
    events = _events(folder)
    return {tag: events.Images(tag) for tag in events.Tags()["images"]}


def _steps(folder):
    return {tag: [event.step for event in images] for tag, images in _pictures(folder).items()}


def _scalars(folder):
    events = _events(folder)
    return {(tag, e.step): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}


def _written(folder):
    return {
        (f"{line['kind']}/{key}", line["step"]): pytest.approx(value, rel=1e-6)
        for line in read_metrics(folder)
        for key, value in line.items()
        if key not in ("kind", "step")
    }


@pytest.mark.parametrize(
    "deaths", [pytest.param((2,), marks=pytest.mark.slow), pytest.param((5,), marks=pytest.mark.slow), (7, 3)], ids=str
)
def test_numbers_and_pictures_come_once(root, trained, tmp_path, die_after, deaths):
    """Killed before the first checkpoint, between checkpoints, and after an evaluation, from which it then resumes."""
    options = tiny(root, tmp_path / "run", {"checkpoint_every": 3})
    for steps in deaths:
        with pytest.raises(die_after(steps)):
            train(options, draw=DRAW)
    die_after(None)
    train(options, draw=DRAW)
    assert _steps(tmp_path / "run") == ONCE
    assert _scalars(tmp_path / "run") == _written(tmp_path / "run")
    assert_same_run(trained({}), tmp_path / "run")  # drawing changes nothing
    for images in _pictures(tmp_path / "run").values():
        for event in images:
            picture = Image.open(io.BytesIO(event.encoded_image_string))
            assert max(picture.size) <= 1200
            assert len(np.unique(np.asarray(picture))) > 20


@pytest.mark.slow
def test_no_more_sheets_than_twenty(root, tmp_path):
    train(tiny(root, tmp_path / "run", {"epochs": 45, "evaluate_every": 1, "batch_size": 24}), draw=DRAW)
    assert _steps(tmp_path / "run")[ANSWERS] == [*range(3, 46, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [DETECTOR, SEGMENTER], ids=["detector", "segmenter"])
def test_dense_runs(root, tmp_path, changes):
    train(tiny(root, tmp_path / "run", {**changes, "epochs": 1, "evaluate_every": 1}), draw=DRAW)
    assert _steps(tmp_path / "run") == {BATCH: [0], ANSWERS: [3]}


def _train(options):
    train(options, draw=DRAW)


def test_two_processes_write_once(root, tmp_path):
    done = torchrun(_train, tiny(root, tmp_path / "run", {"epochs": 2}))
    assert done.returncode == 0, done.stderr
    assert _steps(tmp_path / "run") == {BATCH: [0], ANSWERS: [6]}
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1


def test_drawing_that_fails_ends_no_run(root, tmp_path, capsys):
    def fail(*_):
        raise RuntimeError("no font")

    train(tiny(root, tmp_path / "run", {"epochs": 2}), draw=DRAW._replace(batch=fail))
    assert capsys.readouterr().err.count("TensorBoard: no pictures: no font; the run goes on without them") == 1
    assert _steps(tmp_path / "run") == {}


def test_a_batch_is_drawn_in_its_own_colours(root, tmp_path, monkeypatch):
    """Normalised pixels come out as they were."""
    options = tiny(root, tmp_path)
    task = start_task(options, open_training(options))
    config = task.network.config
    grey = (0.25 - torch.tensor(config["mean"])) / torch.tensor(config["std"])
    images = grey.view(1, -1, 1, 1).expand(2, -1, 32, 32)
    tiles = []
    monkeypatch.setattr(board, "contact_sheet", lambda shown, tile: tiles.extend(shown))
    batch = Batch(images, torch.tensor([[1.0, 0, 0], [0.3, 0.7, 0.0]]), [])
    draw_batch(task, batch.images, batch.targets)
    assert [captions for _, captions in tiles] == [["100 % eight"], ["70 % five", "30 % eight"]]
    assert np.unique(np.asarray(tiles[0][0])).tolist() == [63]
