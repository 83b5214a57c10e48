"""Classify picture files."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from atmnet.data import EXTENSIONS, UnreadableImage, eval_transform, image_mode, read_image
from atmnet.tasks import Classifier
from atmnet_options import UserError


class Prediction(NamedTuple):
    """What a picture shows: (class, probability) pairs, most probable first; or why it could not be read."""

    path: Path
    image: Image.Image | None
    ranking: list[tuple[str, float]]
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
def predict(
    classifier: Classifier, paths: Sequence[Path], *, top: int, batch_size: int, device: torch.device
) -> Iterator[Prediction]:
    """Classify pictures, in order; broken ones are reported, not left out."""
    model = classifier.model.to(device).eval()
    transform, mode = eval_transform(classifier.config), image_mode(classifier.config)
    remaining = iter(paths)
    while batch := list(islice(remaining, batch_size)):
        read: list[Image.Image | str] = []
        for path in batch:
            try:
                read.append(read_image(str(path), mode))
            except UnreadableImage as error:
                read.append(str(error))
        images = [image for image in read if isinstance(image, Image.Image)]
        scores: Iterator[torch.Tensor] = iter(())
        if images:
            logits = model(torch.stack([transform(image) for image in images]).to(device))
            scores = iter(logits.float().softmax(1).cpu())
        for path, image in zip(batch, read, strict=True):
            if isinstance(image, str):
                yield Prediction(path, None, [], image)
                continue
            best = next(scores).topk(min(top, len(classifier.classes)))
            names = [classifier.classes[i] for i in best.indices.tolist()]
            yield Prediction(path, image, list(zip(names, best.values.tolist(), strict=True)))
