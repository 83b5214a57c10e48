"""What a network says to picture files."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from atmnet.data import EXTENSIONS, Sample, UnreadableImage, image_mode, read_image, to_device
from atmnet.tasks import Task
from atmnet_cli.errors import UserError


class Prediction(NamedTuple):
    """A picture, with the task's output for it (see ``Task.outputs``); or why it could not be read."""

    path: Path
    image: Image.Image | None
    output: Any
    error: str | None = None


def find_images(paths: Sequence[str]) -> list[Path]:
    """The files named, and all pictures below the folders named, in order.

    Raises:
        UserError: Where a path does not exist, or there is no picture at all.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"images: {path}: no such file or folder")
    if not found:
        raise UserError(f"images: no pictures ({' '.join(EXTENSIONS)}) in {', '.join(paths)}")
    return found


@torch.inference_mode()
def predict(task: Task, paths: Sequence[Path], *, batch_size: int, device: torch.device) -> Iterator[Prediction]:
    """What a task's network says to pictures, in order; broken ones are reported, not left out."""
    model = task.network.model.to(device).eval()
    transform, mode = task.eval_transform(), image_mode(task.network.config)
    remaining = iter(paths)
    while names := list(islice(remaining, batch_size)):
        read: list[Image.Image | str] = []
        for path in names:
            try:
                read.append(read_image(str(path), mode))
            except UnreadableImage as error:
                read.append(str(error))
        samples = [
            Sample(*transform(image, task.empty_target(image)), []) for image in read if isinstance(image, Image.Image)
        ]
        outputs: Iterator[Any] = iter(())
        if samples:
            batch = task.eval_collate(samples)
            outputs = iter(task.outputs(model, to_device(batch.images, device), to_device(batch.targets, device)))
        for path, image in zip(names, read, strict=True):
            if isinstance(image, str):
                yield Prediction(path, None, None, image)
            else:
                yield Prediction(path, image, next(outputs))
