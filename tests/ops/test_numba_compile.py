"""Kernels are compiled when they are first needed, kept, and loaded from then on, wherever the package is installed."""

import importlib.util
import os
import platform
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from atmnet.ops import _numba, _private, available_backends, sample_along
from atmnet.ops._numba import _compile
from atmnet.ops._reference import sample_reference
from tests.ops import fresh

pytestmark = pytest.mark.skipif("numba" not in available_backends(torch.empty(1)), reason="needs numba")

_compiled_once = cache(_compile._compile)


class Process:
    """What a new process has: a compiler that holds no kernel yet. It notes which kernels numba had to compile.

    Numba compiles each only once for all of these: a second is long, and no such process depends on another's.
    """

    def __init__(self, compiler: Any) -> None:
        self.compiled: list[tuple[str | int, ...]] = []
        self.compiler: Any = compiler
        self.compiler._compile = self._compile

    def _compile(self, *kernel: str | int) -> Any:
        self.compiled.append(kernel)
        return _compiled_once(*kernel)

    def check(self, share: int = 2) -> None:
        """Call a kernel, each share has its own, and compare what it gives with the reference."""
        x, offset = torch.randn(2, 5, 3, 2 * share), torch.randn(2, 5, 3, 2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "atmnet.ops._numba._compile", self.compiler)
            out = _numba.sample(x, offset, [-3], False)
        torch.testing.assert_close(out, sample_reference(x, offset, [-3], False))

    def call(self) -> str:
        """Whether the kernel had to be compiled or could be loaded."""
        self.check()
        return "compiled" if self.compiled else "loaded"


class Installation:
    """A copy of the kernels, and a cache of its user's own."""

    def __init__(self, folder: Path) -> None:
        self.package = fresh.bare_package(folder / "site-packages")
        self.sources = self.package / "atmnet" / "ops" / "_numba"
        self.beside = self.sources / "__pycache__"
        self.cache = folder / "cache"

    def process(self) -> Process:
        """A new process that uses this installation."""
        spec = importlib.util.spec_from_file_location("copied", self.sources / "_compile.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return Process(module)

    def make_read_only(self) -> None:
        """As far as this can be done to a test that root runs: nothing can be written where no folder can be."""
        self.beside.write_text("not a folder")


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch):
    """What lies beside the sources is machine code."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture
def installation(tmp_path, monkeypatch) -> Installation:
    installation = Installation(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(installation.cache))
    return installation


@pytest.fixture
def kept(tmp_path_factory) -> Path:
    """The machine code of the kernel that is called, beside the sources of another installation."""
    other = Installation(tmp_path_factory.mktemp("used"))
    assert other.process().call() == "compiled"
    (file,) = other.beside.iterdir()
    return file


def test_machine_code_is_kept_beside_the_sources(installation):
    """A process of its own loads it, and to do that imports neither numba nor, before the call, LLVM."""
    assert installation.process().call() == "compiled"
    (file,) = installation.beside.iterdir()
    assert file.name.startswith("forward-float32-float32-2-")
    program = """
import sys, torch
from atmnet.ops import _numba
from atmnet.ops._reference import sample_reference

assert not {"numba", "llvmlite"} & sys.modules.keys()
x, offset = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 2)
torch.testing.assert_close(_numba.sample(x, offset, [-3], False), sample_reference(x, offset, [-3], False))
assert "numba" not in sys.modules
"""
    fresh.python("-B", "-c", program, PYTHONPATH=str(installation.package), XDG_CACHE_HOME=str(installation.cache))
    assert list(installation.beside.iterdir()) == [file]
    assert not installation.cache.exists()


def test_a_read_only_installation_keeps_it_for_its_user(installation, kept, monkeypatch):
    installation.make_read_only()
    assert installation.process().call() == "compiled"
    assert [file.name for file in (installation.cache / "atmnet").iterdir()] == [kept.name]
    # Where the variable is not set: the folder that it stands for.
    installation.cache.rename(installation.cache.with_name(".cache"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(installation.cache.parent))
    assert installation.process().call() == "loaded"


def test_what_can_be_kept_nowhere_is_compiled_each_time(installation, monkeypatch):
    """No folder can be written to; or there is none: a container may run under a number that is nobody's."""
    installation.make_read_only()
    installation.cache.write_text("not a folder")
    assert installation.process().call() == "compiled"

    def nobody(number):
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    assert installation.process().call() == "compiled"


def _of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(path, 4242, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)


PLANTED = {
    "a folder that all can write to": lambda folder, file, patch: folder.chmod(0o777),
    "a folder that the group can write to": lambda folder, file, patch: folder.chmod(0o770),
    "a file that all can write to": lambda folder, file, patch: file.chmod(0o666),
    "a folder of another user": lambda folder, file, patch: _of_another_user(folder, patch),
    "a file of another user": lambda folder, file, patch: _of_another_user(file, patch),
    "a link": lambda folder, file, patch: (file.rename(folder / "a"), file.symlink_to(folder / "a")),
}


@pytest.mark.skipif(os.name != "posix", reason="needs owners and permissions")
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_machine_code_of_others_is_not_run(installation, kept, monkeypatch, caplog, plant):
    """It would run as this user; it is compiled instead, and a line says why."""
    installation.make_read_only()
    folder = installation.cache / "atmnet"
    folder.mkdir(parents=True, mode=0o700)
    file = folder / kept.name
    file.write_bytes(kept.read_bytes())
    assert installation.process().call() == "loaded"
    assert caplog.records == []
    plant(folder, file, monkeypatch)
    _private._warn.cache_clear()
    assert installation.process().call() == "compiled"
    if not (folder / "a").exists():
        (record,) = caplog.records
        assert "not used, because other users can have put machine code there" in record.getMessage()


@pytest.mark.skipif(os.name != "posix", reason="needs owners and permissions")
def test_beside_the_sources_those_who_can_change_them_are_trusted(installation, kept):
    """As in an environment that a group shares; but not more than those."""
    installation.beside.mkdir()
    (installation.beside / kept.name).write_bytes(kept.read_bytes())
    for path in (installation.sources, installation.beside):
        path.chmod(0o775)
    assert installation.process().call() == "loaded"
    installation.beside.chmod(0o777)
    assert installation.process().call() == "compiled"


def test_a_new_cache_is_the_users_own(installation):
    installation.make_read_only()
    assert installation.process().call() == "compiled"
    assert (installation.cache / "atmnet").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_what_killed_processes_left_is_removed(installation):
    """But not what a living one is writing."""
    import fcntl

    installation.beside.mkdir()
    left, living = installation.beside / ".forward.o.1.tmp", installation.beside / ".forward.o.2.tmp"
    left.write_bytes(b"half")
    with living.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert installation.process().call() == "compiled"
        assert not left.exists()
        assert living.exists()


def test_caches_of_other_compilers(tmp_path, monkeypatch):
    """Triton's and inductor's folders are replaced if others can write to them."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("A_CACHE", str(tmp_path / "open"))
    monkeypatch.delenv("B_CACHE", raising=False)
    _private.keep_cache_private("A_CACHE", tmp_path)
    assert Path(os.environ["A_CACHE"]).stat().st_mode & 0o777 == 0o700
    _private.keep_cache_private("B_CACHE", tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert "B_CACHE" not in os.environ
    _private.keep_cache_private.cache_clear()


DAMAGE = {
    "empty": lambda code: b"",
    "torn": lambda code: code[: len(code) // 2],
    "a byte short": lambda code: code[:-1],
    "a bit flipped": lambda code: (
        code[: len(code) // 2] + bytes([code[len(code) // 2] ^ 1]) + code[len(code) // 2 + 1 :]
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_replaced(installation, kept, damage):
    installation.beside.mkdir()
    file, damaged = installation.beside / kept.name, damage(kept.read_bytes())
    file.write_bytes(damaged)
    assert installation.process().call() == "compiled"
    assert list(installation.beside.iterdir()) == [file]
    assert file.read_bytes() != damaged
    assert installation.process().call() == "loaded"


def test_processes_that_compile_at_once(installation, kept, monkeypatch):
    """Both write the file, at the same time, and both go on."""
    processes, together = [installation.process() for _ in range(2)], threading.Barrier(2)
    for process in processes:
        write = process.compiler._write_to_cache
        process.compiler._write_to_cache = lambda *args, write=write: (together.wait(60), write(*args))
    kernel = "forward", "float32", "float32", 2
    with ThreadPoolExecutor(2) as pool:
        for loaded in [pool.submit(process.compiler.kernel, *kernel) for process in processes]:
            assert loaded.result().address
    assert [process.compiled for process in processes] == [[kernel], [kernel]]
    assert [file.name for file in installation.beside.iterdir()] == [kept.name]
    assert installation.process().call() == "loaded"


@pytest.mark.parametrize("expected", ["compiled", "loaded"])
def test_many_first_callers_at_once(installation, expected):
    """Threads that all need the same kernel, which is yet to be compiled, or to be loaded, and run it."""
    if expected == "loaded":
        installation.process().check()
    process = installation.process()
    x, offset = torch.randn(4, 32, 64, 16), torch.randn(4, 32, 64, 8)
    together = threading.Barrier(8)

    def call() -> torch.Tensor:
        together.wait()
        return _numba.sample(x, offset, [-3], False)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setitem(sys.modules, "atmnet.ops._numba._compile", process.compiler)
        results = [done.result() for done in [pool.submit(call) for _ in range(8)]]
    right = sample_reference(x, offset, [-3], False)
    assert all(result.allclose(right, atol=1e-6) for result in results)
    assert len(process.compiled) == (expected == "compiled")


def test_what_was_compiled_of_other_sources_or_for_others_has_another_name(installation, monkeypatch):
    module = installation.process().compiler
    fingerprint = module._fingerprint.__wrapped__  # not kept for the process

    fingerprints = {fingerprint(), fingerprint()}
    for owner, name, value in (
        (module, "version", lambda package: "0.0"),
        (module.llvm, "get_host_cpu_name", lambda: "pentium"),
        (module.llvm, "get_host_cpu_features", lambda: module.llvm.FeatureMap({"avx": False})),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            fingerprints.add(fingerprint())
    for source in installation.sources.glob("*.py"):
        source.write_text(source.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        fingerprints.add(fingerprint())
    assert len(fingerprints) == 1 + 3 + len(list(installation.sources.glob("*.py")))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="compiles for an x86-64")
def test_machine_code_needs_no_functions_of_the_system():
    """A processor may leave conversions of float16 to a library: but libgcc has them since version 12 alone."""
    _compile._target_machine()  # LLVM knows this machine only then
    machine = _compile.llvm.Target.from_default_triple().create_target_machine(cpu="x86-64-v3", opt=3, jit=True)
    for name in ("forward", "backward"):
        code = machine.emit_object(_compile._plain_module(_compile._compile(name, "float16", "float64", 2)))
        assert re.findall(rb"\0(__[a-z]\w*)\0", code) == [], name


def test_told_not_to_compile(monkeypatch):
    """As one is to step through numba's functions in a debugger."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "numba" not in available_backends(torch.empty(1))
    x, offset = torch.randn(2, 5, 4), torch.randn(2, 5, 2)
    assert sample_along(x, offset, 1).shape == x.shape
    reason = "the environment variable NUMBA_DISABLE_JIT forbids numba to compile"
    with pytest.raises(ValueError, match=f"^backend: 'numba' cannot run here: {reason}$"):
        sample_along(x, offset, 1, backend="numba")
