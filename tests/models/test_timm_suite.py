"""timm's own test suite, out of its source distribution, passes on our models."""

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
import timm

from tests import timm_suite_plugin
from tests.processes import Command

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
    [
        ("nano",),
        pytest.param(("xtiny", "tiny", "small", "base", "large"), marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
    ids="+".join,
)
def test_timm_suite(suite, variants, tmp_path):
    names = [f"atmnet_{variant}" for variant in variants]
    report = tmp_path / "report.xml"
    # Modules by path, since timm's tests are a package named tests, too.
    options = [str(suite / "test_models.py"), "-q", f"--junit-xml={report}", "--import-mode=importlib"]
    options += ["-p", "tests.timm_suite_plugin", "-p", "no:cacheprovider", "-W", "ignore"]
    options += ["-c", os.devnull, "--rootdir", str(suite.parent)]
    environment = {"ATMNET_SUITE_MODELS": ",".join(names), "TIMEOUT": "600"}  # a busy machine is no failure
    run = Command(pytest.main, options, **environment).finish(seconds=3600)
    assert run.returncode == 0, run.stdout[-10_000:] + run.stderr[-2_000:]

    cases = [case for case in ElementTree.parse(report).iter("testcase") if len(case) == 0]  # passed: not even skipped
    totals = ElementTree.parse(report).getroot()[0].attrib
    assert int(totals["tests"]) == len(cases)
    for name in names:
        passed = {case.attrib["name"].partition("[")[0] for case in cases if name in case.attrib["name"]}
        assert passed >= PER_MODEL, f"{name}: timm's suite did not run {', '.join(sorted(PER_MODEL - passed))}"
