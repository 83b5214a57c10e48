"""Kernels are compiled when they are first needed, kept, and loaded from then on, wherever the package is installed."""

import importlib.util
import platform
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from atmnet.ops import available_backends
from tests.ops import fresh

pytestmark = pytest.mark.skipif("numba" not in available_backends(torch.empty(1)), reason="needs numba")

# Each share has a kernel of its own.
PREPARE = """
import os, sys, torch
from atmnet.ops import _numba
from atmnet.ops._reference import sample_reference

def check(share):
    x, offset = torch.randn(2, 5, 3, 2 * share), torch.randn(2, 5, 3, 2)
    out = _numba.sample(x, offset, [-3], False)
    torch.testing.assert_close(out, sample_reference(x, offset, [-3], False))

assert not {"numba", "llvmlite"} & sys.modules.keys()
"""
CALL = (
    PREPARE
    + """
check(2)
print("compiled" if "numba" in sys.modules else "loaded")
"""
)


class Installation:
    """A copy of the kernels, and a cache of its user's own."""

    def __init__(self, folder: Path) -> None:
        package = fresh.bare_package(folder / "site-packages")
        self.sources = package / "atmnet" / "ops" / "_numba"
        self.beside = self.sources / "__pycache__"
        self.cache = folder / "cache"
        self.environment = {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(self.cache)}

    def run(self, program: str = CALL, **environment: str | None) -> str:
        """What a new process prints. It writes no bytecode: what lies beside the sources is machine code."""
        return fresh.python("-B", "-c", program, **{**self.environment, **environment}).strip()

    def make_read_only(self) -> None:
        """As far as this can be done to a test that root runs: nothing can be written where no folder can be."""
        self.beside.write_text("not a folder")


@pytest.fixture
def installation(tmp_path) -> Installation:
    return Installation(tmp_path)


@pytest.fixture(scope="module")
def used(tmp_path_factory) -> Installation:
    """An installation whose kernel was called once."""
    installation = Installation(tmp_path_factory.mktemp("used"))
    assert installation.run() == "compiled"
    return installation


@pytest.fixture
def kept(used) -> Path:
    """The machine code of the kernel that is called."""
    (file,) = used.beside.iterdir()
    return file


def test_importing_the_package_loads_no_compiler():
    """Others may: torch imports triton for itself."""
    program = """
import sys, timm.models
before = set(sys.modules)
import atmnet
print(*{name.partition(".")[0] for name in sys.modules.keys() - before})
"""
    loaded = set(fresh.python("-c", program).split())
    assert "atmnet" in loaded
    assert not {"numba", "llvmlite", "triton"} & loaded


def test_machine_code_is_kept_beside_the_sources(used, kept):
    assert kept.name.startswith("forward-float32-float32-2-")
    assert used.run() == "loaded"
    assert list(used.beside.iterdir()) == [kept]
    assert not used.cache.exists()


def test_a_read_only_installation_keeps_it_for_its_user(installation, kept):
    installation.make_read_only()
    assert installation.run() == "compiled"
    assert [file.name for file in (installation.cache / "atmnet").iterdir()] == [kept.name]
    # Where the variable is not set: the folder that it stands for.
    installation.cache.rename(installation.cache.with_name(".cache"))
    assert installation.run(XDG_CACHE_HOME=None, HOME=str(installation.cache.parent)) == "loaded"


def test_what_can_be_kept_nowhere_is_compiled_each_time(installation):
    """No folder can be written to; or there is none: a container may run under a number that is nobody's."""
    installation.make_read_only()
    installation.cache.write_text("not a folder")
    no_home = """
import pwd
def getpwuid(number): raise KeyError(number)
pwd.getpwuid = getpwuid
for name in ("XDG_CACHE_HOME", "HOME"): os.environ.pop(name, None)
"""
    installation.run(PREPARE + "check(2)" + no_home + "check(4)")


DAMAGE = {
    1: lambda code: b"",
    2: lambda code: code[: len(code) // 2],
    3: lambda code: code[:-1],
    4: lambda code: code[: len(code) // 2] + bytes([code[len(code) // 2] ^ 1]) + code[len(code) // 2 + 1 :],
}


def test_damaged_files_are_replaced(installation, kept):
    """Empty, torn, and with a bit flipped among the instructions."""
    installation.beside.mkdir()
    damaged = {}
    for share, damage in DAMAGE.items():
        file = installation.beside / kept.name.replace("-2-", f"-{share}-")
        damaged[file] = damage(kept.read_bytes())
        file.write_bytes(damaged[file])
    installation.run(PREPARE + "".join(f"check({share})\n" for share in DAMAGE))
    assert set(installation.beside.iterdir()) == set(damaged)
    for file, bytes_before in damaged.items():
        assert file.read_bytes() != bytes_before


def test_processes_that_compile_at_once(installation, kept, tmp_path):
    meet = """
import os, pathlib, time
(pathlib.Path(os.environ["MEET"]) / str(os.getpid())).touch()
while len(os.listdir(os.environ["MEET"])) < 2: time.sleep(0.001)
"""
    (tmp_path / "meet").mkdir()
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(installation.run, PREPARE + meet + CALL.removeprefix(PREPARE), MEET=str(tmp_path / "meet"))
            for _ in range(2)
        ]
        assert [run.result() for run in runs] == ["compiled", "compiled"]
    assert [file.name for file in installation.beside.iterdir()] == [kept.name]


def test_what_was_compiled_of_other_sources_or_for_others_has_another_name(installation, monkeypatch):
    spec = importlib.util.spec_from_file_location("copied", installation.sources / "_compile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fingerprint = module._fingerprint.__wrapped__  # not kept for the process

    seen = {fingerprint(), fingerprint()}
    for owner, name, value in (
        (module, "version", lambda package: "0.0"),
        (module.llvm, "get_host_cpu_name", lambda: "pentium"),
        (module.llvm, "get_host_cpu_features", lambda: module.llvm.FeatureMap({"avx": False})),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            seen.add(fingerprint())
    for source in installation.sources.glob("*.py"):
        source.write_text(source.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        seen.add(fingerprint())
    assert len(seen) == 1 + 3 + len(list(installation.sources.glob("*.py")))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="compiles for an x86-64")
def test_machine_code_needs_no_functions_of_the_system():
    """A processor may leave conversions of float16 to a library: but libgcc has them since version 12 alone."""
    from atmnet.ops._numba import _compile

    _compile._target_machine()  # LLVM knows this machine only then
    machine = _compile.llvm.Target.from_default_triple().create_target_machine(cpu="x86-64-v3", opt=3, jit=True)
    for name in ("forward", "backward"):
        code = machine.emit_object(_compile._plain_module(_compile._compile(name, "float16", "float64", 2)))
        assert re.findall(rb"\0(__[a-z]\w*)\0", code) == [], name


def test_told_not_to_compile():
    """As one is to step through numba's functions in a debugger."""
    program = """
import torch
from atmnet.ops import available_backends, sample_along
assert "numba" not in available_backends(torch.empty(1))
x, offset = torch.randn(2, 5, 4), torch.randn(2, 5, 2)
print(sample_along(x, offset, 1).shape == x.shape)
try:
    sample_along(x, offset, 1, backend="numba")
except ValueError as error:
    print(error)
"""
    right, refused = fresh.python("-c", program, NUMBA_DISABLE_JIT="1").splitlines()
    assert right == "True"
    assert (
        refused
        == "backend: 'numba' cannot run here: the environment variable NUMBA_DISABLE_JIT forbids numba to compile"
    )
