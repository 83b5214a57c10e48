"""Every recipe that comes along is understood, and says where it is from and what to expect."""

import pytest

from atmnet_cli.command import RECIPES, parse, recipes_of
from atmnet_cli.errors import UserError
from atmnet_cli.options import CompareOptions, TrainOptions

NAMES = recipes_of("train")


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


def test_a_recipe_of_comparisons():
    options = parse(["compare", "--config", "compare_digits", "--models", "a", "b", "--output=x"])[1]
    assert isinstance(options, CompareOptions)
    assert (options.models, len(options.lrs)) == (["a", "b"], 2)
    with pytest.raises(UserError, match="compare_digits: no such file or recipe"):
        parse(["train", "--config", "compare_digits", "--output=x"])


def test_comparisons_take_recipes_of_training():
    options = parse(["compare", "--config", "digits", "--models", "a", "b", "--lrs", "1e-3", "2e-3", "--output=x"])[1]
    assert (options.epochs, options.lrs) == (17, [1e-3, 2e-3])
