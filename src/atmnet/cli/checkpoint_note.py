"""Say which checkpoint of a run a command uses."""

import os
import sys
from pathlib import Path

from atmnet.tasks.weights import find_checkpoint
from atmnet_cli.printing import print_line


def note_checkpoint(model: str) -> None:
    """On a terminal, print a line on stderr if ``model`` is the folder of a run, whose best checkpoint is used."""
    if not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        return
    folder = find_checkpoint(Path(model))
    if folder is not None and folder != Path(model):
        print_line(f"atmnet: {model}: using {folder.resolve().name}, {_reason(Path(model), folder)}", error=True)


def _reason(run: Path, folder: Path) -> str:
    if folder.name in ("best", "last"):
        return f"its {folder.name} checkpoint"
    return "the checkpoint that it names" if run.name in ("best", "last") else "a checkpoint of it"
