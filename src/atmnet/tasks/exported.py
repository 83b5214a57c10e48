"""Networks in files that ``atmnet export`` wrote, used like checkpoints.

Only the network itself runs in the file's runtime. The task prepares pictures and interprets outputs as for a
checkpoint, so that results are the same.

Shapes: B images, K classes, H x W pixels, D detections.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.models.create import DataConfig
from atmnet.records import Record
from atmnet.tasks.classifier import Classifier
from atmnet.tasks.configuration import CLASSIFIERS, temperature_of, value_range
from atmnet.tasks.dense import DenseNetwork
from atmnet.tasks.detector_transform import DetectorTransform
from atmnet.tasks.heads import find_head
from atmnet.tasks.task import Kind
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, ModelOptions
from atmnet_runtime import ExportedFile, FileError

#: Endings of files that can be run.
ENDINGS = (".onnx", ".xml")


class FileModel(nn.Module):
    """A classifier or segmenter in a file.

    Shape:
        Normalised images (B, C, H, W) -> logits (B, K) or (B, K, H, W).
    """

    def __init__(self, file: ExportedFile) -> None:
        super().__init__()
        self.file = file

    def forward(self, images: Tensor) -> Tensor:
        pixels = _pixels(images.detach().cpu().float(), self.file.config)
        with as_user_error():
            return torch.from_numpy(self.file.logits(pixels.numpy())).to(images.device)


class FileDetector(nn.Module):
    """A detector in a file, with torchvision's interface.

    Shape:
        Images (3, H, W) in 0..1 -> for each its boxes, labels, scores, and for some detectors masks (D, 1, H, W).
    """

    def __init__(self, file: ExportedFile) -> None:
        super().__init__()
        config = file.config
        self.file = file
        self.first_label = find_head(config["head"], "detection").first_label
        #: Height and width if the file takes one size: pictures are resized to fit, with zeros to the right and below.
        self.side = (file.shape[2], file.shape[3])
        fixed = self.side[0] is not None
        self.transform: Any = DetectorTransform(
            self.side[0] if fixed else config["shorter"],
            self.side[0] if fixed else config["longest"],
            config["mean"],
            config["std"],
            size_divisible=1,
        ).eval()

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        return [self._objects(image) for image in images]

    def _objects(self, image: Tensor) -> dict[str, Tensor]:
        prepared, _ = self.transform([image.detach().cpu().float()])
        values, (size,) = prepared.tensors, prepared.image_sizes
        if self.side[0] is not None and self.side[1] is not None:
            values = F.pad(values, (0, self.side[1] - size[1], 0, self.side[0] - size[0]))
        with as_user_error():
            outputs = self.file.outputs(_pixels(values, self.file.config).numpy())
        rows = [torch.from_numpy(part[outputs[1] > 0]) for part in outputs]
        objects = {"boxes": rows[0], "scores": rows[1], "labels": rows[2].long() + self.first_label}
        if len(rows) > 3:
            objects["masks"] = rows[3]
        (objects,) = self.transform.postprocess([objects], [size], [tuple(image.shape[-2:])])
        return {key: value.to(image.device) for key, value in objects.items()}


def load_exported(path: str) -> Classifier | DenseNetwork:
    """The network of a file.

    Raises:
        UserError: If the file cannot be used, see :class:`atmnet_runtime.ExportedFile`, or contains raw outputs.
    """
    with as_user_error():
        file = ExportedFile(path, torch.get_num_threads())
    config = file.config
    values = value_range(Record(config, path))
    if file.kind in CLASSIFIERS:
        return Classifier(
            FileModel(file), file.classes, cast(DataConfig, config), exported=True, range=values,
            temperature=temperature_of(Record(config, path)), kind=file.kind,
        )  # fmt: skip
    try:
        find_head(config["head"], cast(Kind, file.kind))
    except UserError as error:
        raise UserError(f"{path}: its metadata are damaged: {error}; export it again") from error
    if config.get("raw"):
        raise UserError(f"{path}: contains raw outputs of a detector rather than objects; export it without --raw")
    side = config["shorter"]
    options = ModelOptions(name=Path(path).name, head=config["head"])
    dense = DenseOptions(img_sizes=[side], max_img_size=config["longest"], crop_size=side)
    model = FileDetector(file) if file.kind == "detection" else FileModel(file)
    category_ids = config.get("category_ids", [])
    return DenseNetwork(
        model.eval(), file.classes, cast(DataConfig, config), options, dense, category_ids, True, values
    )


@contextmanager
def as_user_error() -> Iterator[None]:
    """Raise the runtime's errors as a UserError."""
    try:
        yield
    except FileError as error:
        raise UserError(str(error)) from error


def _pixels(images: Tensor, config: dict[str, Any]) -> Tensor:
    """Normalised images -> images with the values that the file takes."""
    if config["pixels"] == "normalised":
        return images
    mean, std = (torch.tensor(config[key]).view(-1, 1, 1) for key in ("mean", "std"))
    images = images * std + mean
    return (255 * images).round().clamp(0, 255).to(torch.uint8) if config["pixels"] == "uint8" else images
