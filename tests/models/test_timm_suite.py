"""timm's own test suite, out of its source distribution, passes on our models."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import timm

import atmnet
from tests import timm_suite_plugin

ROOT = Path(__file__).parents[2]
#: General tests that timm has in 1.0.31 for each model; without these the suite would no longer be the suite.
PER_MODEL = {
    "test_model_forward",
    "test_model_backward",
    "test_model_default_cfgs",
    "test_model_forward_torchscript",
    "test_model_forward_features",
    "test_model_forward_fx",
    "test_model_backward_fx",
    "test_model_forward_fx_torchscript",
} | timm_suite_plugin.BY_HAND


@pytest.fixture(scope="module")
def suite() -> Path:
    folder = Path(os.environ.get("ATMNET_TIMM_TESTS") or ROOT / ".venv" / "timm-tests" / "tests")
    if not (folder / "test_models.py").is_file():
        pytest.fail(f"{folder} does not hold timm {timm.__version__}'s test_models.py: `make test` fetches it")
    return folder


@pytest.mark.parametrize(
    "variants",
    [("nano", "xtiny"), pytest.param(("tiny", "small", "base", "large"), marks=pytest.mark.slow)],
    ids="+".join,
)
def test_timm_suite(suite, variants, tmp_path):
    names = [f"atmnet_{variant}" for variant in variants]
    report = tmp_path / "report.xml"
    # Folders by name, since timm's tests are a package named tests, too.
    path = [str(Path(timm_suite_plugin.__file__).parent), str(Path(atmnet.__file__).parents[1])]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env |= {"PYTHONPATH": os.pathsep.join(path), "ATMNET_SUITE_MODELS": ",".join(names)}
    env |= {"OMP_NUM_THREADS": "1", "TIMEOUT": "600"}  # a busy machine is no failure
    command = [sys.executable, "-m", "pytest", str(suite / "test_models.py"), "-q", "-n", "2", f"--junit-xml={report}"]
    command += ["-p", "timm_suite_plugin", "-p", "no:cacheprovider", "-W", "ignore"]
    command += ["-c", os.devnull, "--rootdir", str(suite.parent)]
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-10_000:] + run.stderr[-2_000:]

    cases = [case for case in ElementTree.parse(report).iter("testcase") if len(case) == 0]  # passed: not even skipped
    totals = ElementTree.parse(report).getroot()[0].attrib
    assert int(totals["tests"]) == len(cases)
    for name in names:
        passed = {case.attrib["name"].partition("[")[0] for case in cases if name in case.attrib["name"]}
        assert passed >= PER_MODEL, f"{name}: timm's suite did not run {', '.join(sorted(PER_MODEL - passed))}"
