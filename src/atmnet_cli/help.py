"""The help of a command: the options that people use first, on one screen; all of them by ``--help-all``."""

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from jsonargparse import ArgumentParser

#: The options of the short help, by command; the help of the others is always whole.
FIRST = {
    "train": (
        "config", "output", "data.root", "data.source", "model.name", "model.head", "model.weights", "epochs",
        "batch_size", "optim.lr", "device",
    ),
    "compare": (
        "config", "models", "output", "data.root", "data.source", "model.head", "seeds", "lrs", "budget", "jobs",
        "epochs", "batch_size",
    ),
    "evaluate": ("data.root", "data.source", "data.val", "report", "weights", "batch_size", "device"),
    "explore": ("weights", "beside", "beside_weights", "open", "port", "host", "auth", "origins", "device"),
    "predict": ("output", "format", "sheet", "top", "threshold", "weights", "batch_size", "device"),
    "convert": ("data.source", "data.root", "data.train", "data.val", "to", "output", "images"),
    "check-data": ("data.source", "data.root", "data.train", "data.val", "data.classes", "show"),
    "export": ("output", "to", "precision", "img_size", "pixels", "images", "weights"),
}  # fmt: skip
_WIDTH, _INDENT = 100, 26


class CommandParser(ArgumentParser):
    """A parser whose help is short.

    Args:
        first: Names of the options that the short help explains; empty if it explains all.
        kwargs: As for jsonargparse's parser.
    """

    def __init__(self, *args: object, first: Sequence[str] = (), **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._first = first

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """The help."""
        if not self._first:
            return super().format_help() if formatter is None else super().format_help(formatter)
        width = min(_WIDTH, shutil.get_terminal_size().columns - 1)
        options = {action.dest: action for action in self._actions if action.dest != "help"}
        shown = [action for action in self._actions if not action.option_strings]
        shown += [options[name] for name in self._first]
        lines = [self.format_usage(), *textwrap.wrap(self.description or "", width), ""]
        for action in shown:
            lines += _explained(action, width)
        command = (self.usage or "").split()[:2]
        lines += ["", f"All {len(options)} options: {' '.join(command)} --help-all"]
        return "\n".join(lines) + "\n"


def _explained(action: argparse.Action, width: int) -> list[str]:
    """An option and the first sentence of its help."""
    name = action.dest.rpartition(".")[2].upper()
    if not action.option_strings:
        head = f"  {name}{' ...' * (action.nargs is not None)}"
    else:
        choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else name
        head = f"  {action.option_strings[0]} {choices if len(choices) < _INDENT else name}"
    sentence = " ".join((action.help or "").split())
    sentence = sentence.partition(". ")[0].removesuffix(".") + "."
    text = textwrap.wrap(sentence, width - _INDENT)
    if len(head) < _INDENT:
        return [head.ljust(_INDENT) + text[0], *(" " * _INDENT + line for line in text[1:])]
    return [head, *(" " * _INDENT + line for line in text)]


def versions() -> str:
    """The version of atmnet, and of what its behaviour depends on."""
    pairs = [(name, _version(name)) for name in ("torch", "torchvision", "timm", "numba")]
    return f"atmnet {_version('atmnet')} ({', '.join(f'{name} {number}' for name, number in pairs)})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from its source, or not installed
        return "unknown"
