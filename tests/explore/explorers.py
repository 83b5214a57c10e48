"""Explorers of small networks that have not learned."""

from typing import Any

import numpy as np
from PIL import Image

from atmnet.explore import Explorer
from atmnet.models.create import data_config
from atmnet.predictions import Predictor
from atmnet.tasks import Classifier, make_task
from tests.report.reports import network

EVIL = '<script>alert("1")</script>&amp;'


def picture(width: int = 80, height: int = 60, seed: int = 0) -> Image.Image:
    """A picture of coloured noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def explorer(classes: list[str] | None = None, side: int = 64, reach: float = 8.0) -> Explorer:
    """Of atmnet_nano, with offsets that leave the picture."""
    classes = classes or ["cat", EVIL, "dog"]
    model: Any = network(len(classes), reach)
    classifier = Classifier(model, classes, data_config(model, side))
    return Explorer(Predictor(make_task(classifier), "cpu"))
