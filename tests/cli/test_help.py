"""Help is instant: it imports none of the libraries that take seconds."""

import re
import subprocess
import sys

import pytest

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
    done, _ = _run("train", "--help")
    options = re.split(r"\n  (?=--)", done.stdout[done.stdout.index("\n  --") :])[1:]
    assert len(options) > 55
    for option in options:
        name, *words = option.split("(type:")[0].split()
        assert len(words) > 3, name


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--outputt", "x"], ["train"], ["predict"]])
def test_a_mistake_is_told_as_fast(arguments):
    done, modules = _run(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("atmnet: error: ")
    assert not modules & HEAVY
