"""Runs a network on image files."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from atmnet.data import EXTENSIONS, Sample, UnreadableImage, image_mode, to_device
from atmnet.data.listing import list_pictures, natural_key, summary
from atmnet.data.own import to_picture
from atmnet.predictions.video import Frame, is_camera
from atmnet.tasks import Task
from atmnet_cli.errors import UserError, first_line

#: Characters of patterns.
_WILDCARDS = set("*?[")


class Prediction(NamedTuple):
    """An image with the task's output for it, or with the error that reading it gave.

    Attributes:
        path: Its file; of a picture in memory, ``image N`` with its number, from 0.
        image: The picture, turned upright; None if it could not be read.
        output: The task's output for it (see ``Task.outputs``); None if the picture could not be read.
        error: Why it could not be read, in a line; None if it could.
    """

    path: Path
    image: Image.Image | None
    output: Any
    error: str | None = None


def find_images(paths: Sequence[str], notes: list[str] | None = None) -> list[Path]:
    """The files among ``paths`` and all images in the folders among them and their subfolders, in natural order.

    Args:
        paths: Files and folders; cameras such as 'camera:0'; patterns such as 'shots/**/*.jpg', if no file has that
            name; '-' for names on standard input, and '@FILE' for those in a text file, one in a line.
        notes: Gets a line for each kind of picture in a folder that is not used.

    Raises:
        UserError: If a path does not exist, or there are no images.
    """
    files: list[Path] = []
    for path in map(Path, _named(paths)):
        if is_camera(str(path)):
            files.append(path)
        elif path.is_dir():
            listing = list_pictures(path)
            files += [path / name for name in listing.pictures]
            if notes is not None:
                notes += summary(listing.left_out)
        elif path.exists():
            files.append(path)
        else:
            raise UserError(f"images: {path}: no such file or folder")
    if not files:
        raise UserError(f"images: no images ({' '.join(EXTENSIONS)}) in {', '.join(paths)}")
    return files


def _named(paths: Sequence[str]) -> Iterator[str]:
    """The paths, with those that '-', '@FILE' and patterns stand for in their place."""
    for path in paths:
        if path == "-":
            yield from _lines(sys.stdin.read())
        elif path.startswith("@") and not os.path.exists(path):
            try:
                yield from _lines(Path(path[1:]).read_text(encoding="utf-8-sig"))
            except (OSError, ValueError) as error:
                raise UserError(f"images: {path}: the list of images cannot be read: {first_line(error)}") from error
        elif _WILDCARDS & set(path) and not os.path.exists(path):
            matches = sorted(glob.glob(path, recursive=True), key=natural_key)
            if not matches:
                raise UserError(f"images: {path}: no file matches this pattern")
            yield from matches
        else:
            yield path


def _lines(text: str) -> Iterator[str]:
    yield from (line for line in text.splitlines() if line.strip())


@torch.inference_mode()
def predict(task: Task, images: Iterable[Any], *, batch_size: int, device: torch.device) -> Iterator[Prediction]:
    """Run the task's network on images and yield a prediction for each, in order.

    An unreadable file yields a :class:`Prediction` with an error.

    Args:
        task: The task, with its network, which is moved to ``device`` and set to evaluation mode.
        images: Image files, frames of videos, or pictures in memory; see :func:`atmnet.data.own.to_picture`.
        batch_size: Images per forward pass.
        device: Device to compute on.
    """
    model = task.network.model.to(device).eval()
    transform, mode = task.eval_transform(), image_mode(task.network.config)
    remaining = enumerate(images)
    while part := list(islice(remaining, batch_size)):
        pictures: list[Image.Image | str] = []
        for _, image in part:
            if isinstance(image, Frame):
                image = image.picture
                if isinstance(image, str):
                    pictures.append(image)
                    continue
            try:
                pictures.append(to_picture(image, mode, task.network.range))
            except UnreadableImage as error:
                pictures.append(str(error))
        samples = [
            Sample(*transform(picture, task.empty_target(picture)), [])
            for picture in pictures
            if isinstance(picture, Image.Image)
        ]
        outputs: Iterator[Any] = iter(())
        if samples:
            batch = task.eval_collate(samples)
            outputs = iter(task.outputs(model, to_device(batch.images, device), to_device(batch.targets, device)))
        for (number, image), picture in zip(part, pictures, strict=True):
            path = _path(image, number)
            if isinstance(picture, str):
                yield Prediction(path, None, None, picture)
            else:
                yield Prediction(path, picture, next(outputs))


def _path(image: Any, number: int) -> Path:
    if isinstance(image, Frame):
        return image.path
    return Path(image) if isinstance(image, str | Path) else Path(f"image {number}")
