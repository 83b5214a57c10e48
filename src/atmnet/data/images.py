"""Pictures of files: which files they are, and reading them as exported files' own module does.

``atmnet_runtime`` has the code, since it is one file to copy that imports nothing from this package.
"""

from atmnet_runtime import (
    DARK,
    FORMATS,
    LONGEST_SIDE,
    Picture,
    UnreadableImage,
    has_16_bit_colour,
    open_picture,
)
from atmnet_runtime import plain as to_8_bits
from atmnet_runtime import read_picture as read_image

__all__ = [
    "DARK",
    "EXTENSIONS",
    "FORMATS",
    "LONGEST_SIDE",
    "Picture",
    "UnreadableImage",
    "has_16_bit_colour",
    "open_picture",
    "read_image",
    "to_8_bits",
]

#: Endings of files that count as pictures. What they contain may be any of :data:`FORMATS`.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
