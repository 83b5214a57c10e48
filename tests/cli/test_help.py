"""Help is instant: it imports none of the libraries that take seconds."""

import re
import subprocess
import sys

import pytest

from atmnet_cli.command import _COMMANDS, main
from atmnet_cli.help import FIRST

HEAVY = {"torch", "timm", "torchvision", "numpy", "PIL", "numba", "sklearn", "safetensors"}
SCRIPT = """
import sys
from atmnet_cli.command import main
try:
    status = main(sys.argv[1:])
except SystemExit as stop:
    status = stop.code
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""


def _run(*arguments):
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60)
    return done, {module.partition(".")[0] for module in done.stderr.split()}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], ["train", "evaluate", "predict", "models", "benchmark", "check-data"]),
        (["--help"], ["train", "evaluate", "predict", "models", "benchmark", "check-data"]),
        (["train", "--help"], ["--config", "digits, finetune, imagenet_384", "--data.root", "--optim.lr", "--output"]),
        (["train", "--help-all"], ["--config", "--data.max_unreadable", "--optim.clip_grad", "--dense.crop_size"]),
        (["--version"], ["atmnet 0.1.0 (torch 2."]),
        (["evaluate", "--help"], ["--report", "--data", "MODEL"]),
        (["predict", "--help"], ["--sheet", "--top", "IMAGES", "--weights"]),
        (["models", "--help"], ["--img_size"]),
        (["benchmark", "--help"], ["--models", "--img_size", "--precision", "--rounds", "--output"]),
        (["check-data", "--help"], ["--show", "--data.root"]),
    ],
    ids=lambda value: " ".join(value) if "-" in "".join(value) else "",
)
def test_help(arguments, told):
    done, modules = _run(*arguments)
    assert done.returncode == 0
    for word in told:
        assert word in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr
    assert not modules & HEAVY


def test_every_option_is_explained():
    done, _ = _run("train", "--help-all")
    options = re.split(r"\n  (?=--)", done.stdout[done.stdout.index("\n  --") :])[1:]
    assert len(options) > 55
    for option in options:
        name, *words = option.split("(type:")[0].split()
        assert len(words) > 3, name


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_help_fits_a_screen(command):
    """Of 40 lines and 80 columns; whole if there are few options, else the first ten and where the others are."""
    done, _ = _run(command, "--help")
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert command not in FIRST or max(map(len, lines)) <= 80
    assert (
        "--device" in done.stdout or command not in FIRST or command in ("check-data", "convert", "export", "compare")
    )
    assert (f"atmnet {command} --help-all" in lines[-1]) == (command in FIRST)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--epochs=x", "epochs: got 'x', expected a whole number"),
        ("--precision=fp8", "precision: got 'fp8', expected one of fp32, bf16, fp16"),
        ("--optim.clip_grad=y", "optim.clip_grad: got 'y', expected a number"),
        ("--data.range=3", "data.range: got '3', expected 2 values, [..., ...], each a number"),
        ("--dense.img_sizes=a", "dense.img_sizes: got 'a', expected a list, [...], of which each is a whole number"),
        ("--model.kwargs=5", """model.kwargs: got '5', expected a mapping, {"name": value}"""),
        ("--channels_last=maybe", "channels_last: got 'maybe', expected true or false"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(option, message, capsys):
    assert main(["train", "--output", "run", option]) == 2
    assert capsys.readouterr().err == f"atmnet: error: {message}\n"


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--outputt", "x"], ["train"], ["predict"]])
def test_a_mistake_is_told_as_fast(arguments):
    done, modules = _run(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("atmnet: error: ")
    assert not modules & HEAVY
