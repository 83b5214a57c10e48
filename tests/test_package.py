"""What is shipped: a wheel and a source distribution that carry everything and run elsewhere."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import atmnet
from atmnet_cli.errors import install

ROOT = Path(__file__).parents[1]
CARRIED = {
    "atmnet/py.typed",
    "atmnet/recipes/digits.yaml",
    "atmnet/report/report.css",
    "atmnet/report/report.js",
    "atmnet_cli/command.py",
    "atmnet_cli/options/training.py",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_wheel_and_sdist_carry_everything(built):
    wheel = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    assert wheel >= CARRIED
    assert not any(name.startswith(("tests", "benchmarks")) for name in wheel)
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {f"src/{name}" for name in CARRIED} | {"README.md", "LICENSE", "constraints.txt", "Makefile"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_installs_into_an_empty_environment(built, kind, tmp_path):
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, str(next(built.glob(kind)))], check=True, env=env, cwd=tmp_path)
    command = tmp_path / "bin" / "atmnet"
    listed = subprocess.run([str(command), "models"], check=True, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "atmnet_tiny" in listed.stdout


def test_errors_name_the_packages_of_an_extra():
    """'atmnet[dense]' can be installed only from an index, where atmnet is not."""
    assert install("demo") == "pip install 'scikit-learn>=1.4'"
    assert "'onnxruntime>=" in install("export")
    assert "atmnet" not in install("dev")
    sources = [path.read_text(encoding="utf-8") for path in Path(atmnet.__file__).parents[1].rglob("*.py")]
    assert not any("pip install 'atmnet[" in text.replace("'atmnet[EXTRA]'", "") for text in sources)
