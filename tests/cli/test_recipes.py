"""Every recipe that comes along is understood, and says where it is from and what to expect."""

import pytest

from atmnet_cli.command import RECIPES, parse
from atmnet_cli.options import TrainOptions

NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def test_there_are_recipes():
    assert {"digits", "finetune", "imagenet_tiny"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_understood(name):
    command, options = parse(["train", "--config", name, "--output", "somewhere"])
    assert command == "train"
    assert isinstance(options, TrainOptions)
    assert options.model.name.startswith("atmnet_")
    assert 0 < options.optim.warmup_epochs < options.epochs
    assert options.batch_size % 8 == 0


@pytest.mark.parametrize("name", NAMES)
def test_its_header(name):
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    header = text[: text.index("\ndata:")]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "# Expected: " in header
    command = header[header.index("# Command: ") :]
    assert f"--config {name} " in command
    assert "--output runs/" in command


@pytest.mark.parametrize("name", NAMES)
def test_its_command_is_understood(name):
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    lines = text[text.index("# Command: ") + 11 :].splitlines()
    words = lines[0].split()
    for line in lines[1:]:
        if not line.startswith("#   "):
            break
        words += line.removeprefix("#").split()
    options = parse(words[words.index("train") :])[1]
    assert isinstance(options, TrainOptions)
    assert options.output.startswith("runs/")
