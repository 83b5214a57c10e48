"""How far a trained network looks: the mean displacement of what it mixes, by stage."""

from typing import Any

import torch

from atmnet.data import Sample, Split, image_mode, to_device
from atmnet.models.looks import Look, record_looks
from atmnet.tasks import Task

#: Images that the means are taken over.
_IMAGES = 16


@torch.inference_mode()
def measure_reach(task: Task, split: Split, device: torch.device) -> list[dict[str, Any]]:
    """For each stage of an ATMNet backbone the mean displacement in tokens and as a share of the map's side.

    Args:
        task: The task, whose model is on ``device`` and in evaluation mode.
        split: The first pictures of this split are used.
        device: The device.

    Returns:
        Rows with ``stage``, from 0, ``tokens`` and ``share``; none for other backbones.
    """
    transform, mode = task.eval_transform(), image_mode(task.network.config)
    tokens: dict[int, list[float]] = {}
    shares: dict[int, list[float]] = {}
    for index in range(min(_IMAGES, len(split))):
        batch = task.eval_collate([Sample(*transform(*split.load(index, mode)), [])])
        images, targets = to_device(batch.images, device), to_device(batch.targets, device)
        model = task.network.model
        for look in record_looks(model, lambda: task.outputs(model, images, targets)):  # noqa: B023 - called at once
            stage = _stage(look)
            height, width = look.width.shape[1:3]
            parts = [(look.width.abs().mean().item(), width), (look.height.abs().mean().item(), height)]
            tokens.setdefault(stage, []).append(sum(mean for mean, _ in parts) / 2)
            shares.setdefault(stage, []).append(sum(mean / side for mean, side in parts) / 2)
    return [{"stage": stage, "tokens": _mean(tokens[stage]), "share": _mean(shares[stage])} for stage in sorted(tokens)]


def _stage(look: Look) -> int:
    """The stage's number in a name such as 'backbone.body.stages.2.groups.0.offset'."""
    parts = look.name.split(".")
    return int(parts[parts.index("stages") + 1])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
