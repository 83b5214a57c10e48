"""Evaluation: without what is random in training, every image once, mistakes under their own numbers."""

import torch

from atmnet.engine import evaluate
from atmnet.engine.distributed import Group
from atmnet.engine.evaluation import evaluate_model, evaluation_loader
from atmnet.tasks import load_task
from atmnet_cli.options import EvaluateOptions
from tests.engine.runs import RANDOM, metrics, tiny


def test_the_same_in_training_and_afterwards(root, trained):
    """Also where the training drops paths and features."""
    folder = trained(RANDOM)
    run = str(folder / "last")
    result = evaluate(EvaluateOptions(model=run, device="cpu"), load_task(run), tiny(root, folder).data)
    last = metrics(folder)[-1]
    assert (result.loss, result.top1, result.images) == tuple(last[key] for key in ("loss", "top1", "images"))


def test_mistakes_of_two_processes(root, trained):
    folder = trained({"epochs": 2})
    task = load_task(str(folder), keep_mistakes=99)
    source = task.open(tiny(root, folder).data, "train")

    def mistakes(world, rank):
        group = Group(world, rank, torch.device("cpu"))
        return evaluate_model(task, task.network.model, evaluation_loader(task, source, 5, 0, group), group).mistakes

    whole = mistakes(1, 0)
    assert len(whole) > 3
    assert all(source.load(mistake.index, "L")[1] == mistake.target for mistake in whole)
    shares = [mistakes(2, rank) for rank in (0, 1)]
    assert {(m.index, m.predicted) for share in shares for m in share} == {(m.index, m.predicted) for m in whole}
