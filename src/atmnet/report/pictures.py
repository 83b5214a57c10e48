"""Images for the page: the network's input as an image, and images as data URIs. C channels, h x w pixels."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_MAX_PNG_BYTES = 12_000


def input_image(x: Tensor, mean: Sequence[float], std: Sequence[float]) -> Image.Image:
    """The network's input ``x`` (C, h, w) as an RGB image, without the normalisation.

    If C is neither 1 nor 3, the image shows the first channel.

    Raises:
        ValueError: If ``mean`` has neither 1 nor C values.
    """
    if len(mean) not in (1, x.size(0)):
        raise ValueError(
            f"mean: got {len(mean)} values, expected 1 or {x.size(0)}, the number of channels of preprocess"
        )
    pixels = x.detach().float() * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    if x.size(0) != 3:
        pixels = pixels[:1].expand(3, -1, -1)
    pixels = pixels.nan_to_num().clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def data_uri(image: Image.Image) -> str:
    """The RGB ``image`` as a data URI: as PNG or, if that is large, as JPEG."""
    pixels = np.asarray(image)
    if (pixels == pixels[..., :1]).all():
        image = image.convert("L")
    png = io.BytesIO()
    image.save(png, "PNG", optimize=True)
    if png.tell() <= _MAX_PNG_BYTES:
        return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
