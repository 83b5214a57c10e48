"""Make the weights that come with the package: atmnet_nano.digits, from the recipe ``digits``, rounded to float16.

The run uses one thread and only instructions that every x86-64 processor has, so that its bits do not depend on the
processor. ``python -m benchmarks.shipped_weights --check`` trains again and compares the bytes with the package's.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from atmnet.engine import read_metrics
from atmnet.integrations.weights import write_weights
from atmnet.models.store import PACKAGE
from atmnet.tasks import load_classifier

NAME = "atmnet_nano.digits"
#: The libraries choose their instructions by the processor unless they are told otherwise.
PORTABLE = {
    "ATEN_CPU_CAPABILITY": "default",
    "ATMNET_BACKEND": "reference",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
FILES = ("config.json", "model.safetensors", "README.md")
_DESCRIPTION = (
    "A classifier of handwritten digits, trained from random weights on 1,347 of scikit-learn's 1,797 real digits (8x8 "
    "pixels, enlarged to 32x32). It comes with atmnet so that examples work without a download. It is not a general "
    "model: it knows nothing but the ten digits, drawn light on dark ground."
)


def make(folder: Path) -> None:
    """Train, and write the weights to an existing folder."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "atmnet_cli", "train", "--config", "digits", "--output", f"{runs}/run"]
        subprocess.run(command, check=True, env={**os.environ, **PORTABLE})
        classifier = load_classifier(f"{runs}/run/last")
        scores = [line["top1"] for line in read_metrics(Path(runs) / "run") if "top1" in line]
    details = {
        "Training data": "digits of scikit-learn, split train (1,347 images)",
        "Training": "atmnet train --config digits",
        "Top-1 accuracy": f"{scores[-1]:.2f} % on the 450 digits of split val, before rounding to float16",
    }
    write_weights(folder, NAME, classifier.model.half(), _DESCRIPTION, details, "apache-2.0")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the weights into the package, or compare."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.shipped_weights", description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true", help="compare with the package instead of writing to it")
    if not options.parse_args(arguments).check:
        (PACKAGE / NAME).mkdir(parents=True, exist_ok=True)
        make(PACKAGE / NAME)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        _, different, missing = filecmp.cmpfiles(folder, PACKAGE / NAME, FILES, shallow=False)
    print("different: " + ", ".join(different + missing) if different or missing else "the same bytes")
    return 1 if different or missing else 0


if __name__ == "__main__":
    sys.exit(main())
