"""Generated pictures with none, one or both of two labels, which a small network learns in seconds."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.tiny_tables import write_table

CLASSES = ["blue", "red"]
COUNTS = {"train": 24, "val": 12}


def labels_of(number: int) -> list[str]:
    return [name for bit, name in enumerate(CLASSES) if number >> bit & 1]


def write_sets(root: Path) -> Path:
    """Noise of 32x32 pixels, whose left half is red and whose right half is blue if it has the label."""
    noise = np.random.default_rng(0)
    for split, count in COUNTS.items():
        lines = ["file,labels"]
        (root / split).mkdir(parents=True)
        for number in range(count):
            pixels = noise.integers(60, 160, (32, 32, 3), np.uint8)
            if "red" in labels_of(number):
                pixels[:, :16] = pixels[:, :16] // 4 + (190, 0, 0)
            if "blue" in labels_of(number):
                pixels[:, 16:] = pixels[:, 16:] // 4 + (0, 0, 190)
            Image.fromarray(pixels).save(root / split / f"{number}.png")
            lines.append(f"{number}.png,{'|'.join(labels_of(number))}")
        write_table(root / f"{split}.csv", lines)
    return root
