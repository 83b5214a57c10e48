"""Programs in a process of their own, for what a process can do only once or may not survive."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import atmnet.ops

ROOT = Path(__file__).parents[2]
SECONDS = 600


def python(*command: str, **environment: str | None) -> str:
    """Run ``python *command`` in the root of the repository; returns what it prints. It must end well, and in time.

    Variables that are None are not set.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "NUMBA_", "TRITON_", "ATMNET_"))
    }
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={name: value for name, value in {**inherited, **environment}.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_tests(folder: Path, *names: str, **environment: str) -> str:
    """Run files of this folder that are not collected by themselves; returns what pytest prints.

    They see, in ``folder``, a package ``atmnet`` of which there is no more than the operator: timm takes two seconds.
    """
    package = folder / "atmnet"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "ops").symlink_to(Path(atmnet.ops.__file__).parent, target_is_directory=True)
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    files = [f"tests/ops/{name}" for name in names]
    return python("-m", "pytest", *options, *files, PYTHONPATH=str(folder), **environment)


def bare_package(folder: Path) -> Path:
    """A copy of the kernels alone, with nothing kept yet: to import it does not take the seconds that timm takes."""
    source = Path(atmnet.ops.__file__).parent
    ops = folder / "atmnet" / "ops"
    shutil.copytree(source / "_numba", ops / "_numba", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_private.py", "_reference.py"):
        shutil.copy(source / name, ops)
    for package in (ops, ops.parent):
        (package / "__init__.py").touch()
    return folder
