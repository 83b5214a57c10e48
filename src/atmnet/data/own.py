"""Data sets that a program passes: pictures in memory, and a torch ``Dataset`` as a split.

Shapes: C channels, H x W pixels, N objects, K classes.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from atmnet.data.images import UnreadableImage, read_image, to_8_bits
from atmnet.data.inventory import Inventory
from atmnet.data.targets import IGNORE, DetectionTarget, no_objects
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import Kind

#: ``data.source`` of a run that was trained on a data set of a program.
OWN = "python"


def to_picture(value: Any, mode: str = "RGB", value_range: Sequence[float] | None = None) -> Image.Image:
    """A picture in 'RGB' or 'L', from whatever a program has.

    Args:
        value: A path, or a file in memory; a picture of Pillow; an array (H, W), (H, W, 3) or (H, W, 4) of uint8, or
            (H, W) of uint16; or a tensor (C, H, W) of uint8, or of floats from 0 to 1.
        mode: 'RGB' or 'L'.
        value_range: The values of grey pictures of more than 8 bits that become black and white.

    Raises:
        UnreadableImage: If a file cannot be read.
        UserError: For anything else.
    """
    if isinstance(value, str | Path | io.BytesIO):
        return read_image(str(value) if isinstance(value, str | Path) else value, mode, value_range)
    if isinstance(value, Image.Image):
        return to_8_bits(value, mode, value_range)
    if isinstance(value, Tensor | np.ndarray):
        try:
            image = to_pil_image(value.detach().cpu()) if isinstance(value, Tensor) else Image.fromarray(value)
            return to_8_bits(image, mode, value_range)
        except (TypeError, ValueError) as error:
            what = f"{type(value).__name__} {tuple(value.shape)} of {value.dtype}"
            raise UserError(
                f"images: got {what}, expected an array (H, W, 3) of uint8, or a tensor (C, H, W) of uint8 or of "
                "floats from 0 to 1"
            ) from error
    raise UserError(f"images: got {type(value).__name__}, expected a path, a picture, an array or a tensor")


class Splits(NamedTuple):
    """The training and the validation split of a program."""

    train: "DatasetSplit"
    val: "DatasetSplit"


class DatasetSplit:
    """A split whose samples come from a program's data set.

    Args:
        dataset: Anything with a length that gives (picture, target) for an index, such as a torch ``Dataset``; see
            :func:`to_picture` for pictures. It must be picklable if loader processes are started rather than forked.
        classes: Class names.
        kind: What targets are. Classification: the number of the class. Multilabel: an array (K,) of 0 and
            1, or of booleans, one for each class. Segmentation: a label map (H, W) of integers,
            255 for pixels to ignore. Detection: a dict as torchvision's detectors take it: boxes (N, 4) as x0 y0 x1 y1
            in pixels, labels (N,) from 0, and optionally masks (N, H, W) and iscrowd (N,).

    Raises:
        UserError: If the data set is empty.
    """

    def __init__(self, dataset: Any, classes: Sequence[str], kind: Kind) -> None:
        self.dataset, self.classes, self.kind = dataset, list(classes), kind
        self.category_ids = list(range(1, len(classes) + 1))
        if len(dataset) == 0:
            raise UserError("data: the data set is empty")

    def __len__(self) -> int:
        return len(self.dataset)

    def load(self, index: int, mode: str) -> tuple[Image.Image, Any]:
        """The picture in 'RGB' or 'L', and its target.

        Raises:
            UnreadableImage: If the data set cannot read the file.
            UserError: If a sample is not as expected.
        """
        try:
            value, target = self.dataset[index]
        except OSError as error:
            raise UnreadableImage(first_line(error)) from error
        picture = to_picture(value, mode)
        try:
            return picture, self._target(target, picture.size[::-1], index)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"data: sample {index}: {first_line(error)}; expected a target of {self.kind}") from error

    def blank(self, mode: str) -> tuple[Image.Image, Any]:
        """A blank picture without a target."""
        targets: dict[Kind, Any] = {
            "classification": 0,
            "multilabel": torch.zeros(len(self.classes)),
            "detection": no_objects(32, 32),
            "segmentation": torch.full((32, 32), IGNORE, dtype=torch.uint8),
        }
        return Image.new(mode, (32, 32)), targets[self.kind]

    def name(self, index: int) -> str:
        """The sample's number."""
        return f"sample {index}"

    def image_id(self, index: int) -> int:
        """The sample's number, from 1."""
        return index + 1

    def inventory(self) -> Inventory:
        """The classes and the number of samples, which is all that is known without reading them."""
        return Inventory(self.classes, [], [], facts={"number of samples": len(self)})

    def _target(self, target: Any, size: tuple[int, int], index: int) -> Any:
        if self.kind == "classification":
            label = int(target)
            self._check_labels(torch.tensor([label]))
            return label
        if self.kind == "multilabel":
            labels = torch.as_tensor(np.asarray(target)).float()
            if tuple(labels.shape) != (len(self.classes),) or not bool(((labels == 0) | (labels == 1)).all()):
                raise ValueError(f"got {tuple(labels.shape)} numbers, expected 0 or 1 for each class")
            return labels
        if self.kind == "segmentation":
            label_map = torch.as_tensor(np.asarray(target))
            if tuple(label_map.shape) != size:
                raise ValueError(f"its label map has {tuple(label_map.shape)} pixels, the picture {size}")
            self._check_labels(label_map[label_map != IGNORE])
            return label_map.to(torch.uint8)
        return self._objects(target, size, index)

    def _objects(self, target: dict[str, Any], size: tuple[int, int], index: int) -> DetectionTarget:
        labels = torch.as_tensor(target["labels"], dtype=torch.int64).reshape(-1)
        count = len(labels)
        boxes = torch.as_tensor(target["boxes"], dtype=torch.float32).reshape(-1, 4)
        if len(boxes) != count or not bool(boxes.isfinite().all() and (boxes[:, 2:] > boxes[:, :2]).all()):
            raise ValueError("boxes must be finite, one for each label, with x1 > x0 and y1 > y0")
        self._check_labels(labels)
        masks = target.get("masks")
        masks = torch.zeros(count, 0, 0) if masks is None else torch.as_tensor(masks)
        if masks.shape[1:] not in ((0, 0), size) or len(masks) != count:
            raise ValueError(f"masks have {tuple(masks.shape)}, expected {(count, *size)}")
        crowd = torch.as_tensor(target.get("iscrowd", [0] * count)).reshape(-1) != 0
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        return DetectionTarget(boxes, labels, masks.bool(), crowd, area, self.image_id(index))

    def _check_labels(self, labels: Tensor) -> None:
        wrong = labels[(labels < 0) | (labels >= len(self.classes))]
        if len(wrong):
            raise ValueError(f"label {wrong[0].item()} is not one of 0 to {len(self.classes) - 1}")
