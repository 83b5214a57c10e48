"""Computes the fields of the examples, statistics of them, and which field and token the report shows first.

Shapes: H x W tokens, G share groups, A = 2 axes (0 the width, 1 the height).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from atmnet.report.content import Looker
from atmnet.report.field import Field, fields
from atmnet.report.pictures import input_image

_SHORT = 0.06
"""Arcs shorter than this fraction of the image's side are hard to see."""


@dataclass(frozen=True, eq=False)
class SurveyedExample:
    """An example and the offsets of the network for it.

    Attributes:
        caption: Text about it, as HTML.
        picture: The network's input as an image.
        fields: The offsets of all groups of blocks, in order.
        first_field: Index of the field that is shown first.
        x: Position of the query token that is shown first, as a fraction of the picture's width.
        y: The same, as a fraction of its height.
        answer: The network's answer in more detail, as HTML.
    """

    caption: str
    picture: Image.Image
    fields: list[Field]
    first_field: int
    x: float
    y: float
    answer: str = ""

    @property
    def ratio(self) -> float:
        """Width of the picture divided by its height."""
        return self.picture.width / self.picture.height


@dataclass(frozen=True)
class Reach:
    """Statistics of the offsets of a group of blocks over all tokens, share groups and images.

    Attributes:
        width: Mean absolute offset along the rows, in tokens.
        height: Mean absolute offset along the columns, in tokens.
        beyond: Fraction of offsets of more than one token.
        outside: Fraction of places outside the image.
    """

    width: float
    height: float
    beyond: float
    outside: float


def survey(looker: Looker) -> list[SurveyedExample]:
    """Run the model on the images. The result is empty if there are none or the model contains no ATMNet."""
    surveyed = []
    for image, caption in looker.images:
        x = looker.preprocess(image).cpu()
        image_fields = fields(looker.model, x)
        if image_fields:
            picture = input_image(x, looker.mean, looker.std)
            surveyed.append(surveyed_example(picture, x, image_fields, caption))
    return surveyed


def surveyed_example(
    picture: Image.Image, x: Tensor, image_fields: list[Field], caption: str, answer: str = ""
) -> SurveyedExample:
    """An example, with the field and the token to show first, for which ``x`` (C, h, w) has the picture's values."""
    first_field = index_of_longest_arcs(image_fields)
    query = default_query(x, image_fields[first_field])
    return SurveyedExample(caption, picture, image_fields, first_field, *query, answer)


def reach(offsets: list[Tensor]) -> Reach:
    """Statistics of the offsets (A, H, W, G) of one group of blocks for several images."""
    width, height, outside = [], [], []
    for image_offsets in offsets:
        width.append(image_offsets[0].flatten())
        height.append(image_offsets[1].flatten())
        for axis, values in enumerate(image_offsets):
            length = values.size(1 - axis)
            shape = (1, -1, 1) if axis == 0 else (-1, 1, 1)
            places = values + torch.arange(length).view(shape)
            outside.append(((places < -0.5) | (places > length - 0.5)).flatten())
    along_rows, along_columns = torch.cat(width), torch.cat(height)
    both = torch.cat([along_rows, along_columns])
    return Reach(
        along_rows.abs().nanmean().item(),
        along_columns.abs().nanmean().item(),
        (both.abs() > 1).float().mean().item(),
        torch.cat(outside).float().mean().item(),
    )


def index_of_longest_arcs(candidates: list[Field]) -> int:
    """Index of the field with the longest mean offset relative to the image.

    Fields of fewer than 4 x 4 tokens are considered only if all are.
    """
    large = [field for field in candidates if min(field.width, field.height) >= 4] or candidates

    def mean_length(field: Field) -> float:
        scale = torch.tensor([field.width, field.height]).view(-1, 1, 1, 1)
        return (field.offsets.abs().nan_to_num(0, 0, 0) / scale).mean().item()

    return candidates.index(max(large, key=mean_length))


def default_query(x: Tensor, field: Field) -> tuple[float, float]:
    """Position of the query token to show first, as fractions of the image's sides.

    It is the token with the longest offsets among the 15 % with the highest contrast in the preprocessed image ``x``
    (C, h, w).
    """
    grey = x.float().nan_to_num().mean(0)[None, None]
    size = (field.height, field.width)
    mean = F.adaptive_avg_pool2d(grey, size)
    contrast = (F.adaptive_avg_pool2d(grey.square(), size) - mean.square())[0, 0]
    distance = field.offsets.nan_to_num(0, 0, 0).abs().amax(-1).sum(0)
    if min(size) >= 4:  # tokens at the border sample outside more often than others
        contrast[[0, -1]] = contrast[:, [0, -1]] = -1
    has_contrast = contrast >= contrast.flatten().quantile(0.85)
    index = int(distance.where(has_contrast, torch.tensor(-1.0)).argmax())
    # Slightly off the centre, because the centre of a token of a coarse grid may lie on the border of two finer ones.
    return (index % field.width + 0.501) / field.width, (index // field.width + 0.501) / field.height


def close_up_radius(field: Field) -> float:
    """Radius in tokens of the close-up around the query token; 0 if arcs are long enough to see without one."""
    distances = field.drawn.abs().nan_to_num().flatten()
    far = distances.kthvalue(max(1, round(0.95 * len(distances)))).values.item()
    if far / max(field.width, field.height) > _SHORT or field.is_single_token:
        return 0.0
    return round(max(0.75, 1.3 * far), 2)
