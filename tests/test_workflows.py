"""The workflows run targets of the Makefile, with extras that exist."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.smallest_job import JOBS

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="a source distribution has no workflows")


def _jobs(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_step_is_a_target_of_the_makefile(path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for name, job in _jobs(path).items():
        assert "timeout-minutes" in job or name == "publish"
        for step in job["steps"]:
            if "run" in step:
                assert re.match(r"make ([\w-]+)", step["run"])[1] in targets


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is new in Python 3.11")
def test_every_extra_has_a_job_and_is_installed_by_the_release():
    import tomllib

    extras = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    )
    tried = _jobs(ROOT / ".github" / "workflows" / "release.yml")["install"]["strategy"]["matrix"]["extra"]
    assert set(tried) == set(JOBS) == (extras - {"dev", "docs"}) | {""}
