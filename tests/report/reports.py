"""Small reports to write, and the written page taken apart."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from atmnet.report import Example, Report, write_report

_VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """Elements as (tag, attributes), texts by the innermost tag, and whether all elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.texts.append((self.open[-1], data))

    def said(self) -> str:
        """What a reader sees, without scripts and styles; all spaces alike."""
        return " ".join(" ".join(data for tag, data in self.texts if tag not in ("script", "style")).split())

    def sections(self) -> list[str]:
        return [attributes["id"] for tag, attributes in self.elements if tag == "section"]


def preprocess(size: tuple[int, int]):
    def apply(image: Image.Image) -> Tensor:
        pixels = np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC), dtype=np.float32)
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 127.5 - 1

    return apply


def network(classes: int = 10, reach: float = 8.0) -> nn.Module:
    """A nano model that has not learned, but whose offsets are long enough to leave the picture."""
    model = timm.create_model("atmnet_nano", num_classes=classes).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("offset.proj.weight"):
            parameter.data *= reach
    return model


def example(target: int | None = 0, predicted: int = 1, name: str = "a.png", side: int = 8) -> Example:
    pixels = torch.randint(0, 256, (side, side), dtype=torch.uint8).numpy()
    return Example(name, Image.fromarray(pixels), target, predicted, 0.75)


def report(k: int = 10, size: tuple[int, int] = (32, 32), **changes: Any) -> Report:
    train = [{"kind": "train", "step": i, "epoch": i / 10, "loss": 2.0 / i} for i in range(1, 41)]
    evaluate = [{"kind": "evaluate", "epoch": float(i), "loss": 0.4, "top1": 80.0 + i} for i in range(1, 5)]
    values: dict[str, Any] = {
        "title": "A run",
        "model": network(k),
        "preprocess": preprocess(size),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "classes": [f"class {i}" for i in range(k)],
        "metrics": train + evaluate,
        "confusion": torch.eye(k, dtype=torch.int64) * 9 + torch.ones(k, k, dtype=torch.int64),
        "mistakes": [example(0, 1), example(1, 0)],
        "examples": [example(0, 0), example(1, 0), example(None, 1)],
        "facts": {"Model": "atmnet_nano", "Command": "atmnet train --epochs 4"},
    }
    return Report(**{**values, **changes})


def written(folder: Path, **changes: Any) -> Page:
    path = folder / "report.html"
    write_report(report(**changes), path)
    page = Page(path.read_text("utf-8"))
    assert not page.open
    return page
