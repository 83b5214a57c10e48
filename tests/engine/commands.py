"""Command lines that train with given options."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from atmnet_cli.options import TrainOptions


def command(options: TrainOptions, folder: Path, launcher: tuple[str, ...] = ()) -> list[str]:
    """``atmnet train`` with a recipe, written to ``folder``, that says it all."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(asdict(options)))  # JSON is YAML
    return [sys.executable, *launcher, "-m", "atmnet_cli", "train", "--config", str(recipe)]
