"""Compiles kernels with numba and caches their machine code.

Numba has a cache of its own, but reading it needs numba, whose import takes half a second. LLVM alone loads an object
file in a few milliseconds.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import llvmlite.binding as llvm

from atmnet.ops._private import read_private, write_private

if TYPE_CHECKING:
    from numba.core.ccallback import CFunc

_ENTRY = "atmnet_kernel"


class Kernel(NamedTuple):
    """Machine code of a function that takes one pointer. The address is valid while ``owner`` is alive."""

    address: int
    owner: object


@cache
def kernel(name: str, *types: str | int) -> Kernel:
    """The kernel that the factory ``name`` in ``_kernels`` returns for these arguments, compiled or from the cache.

    One thread at a time may call this.
    """
    if os.environ.get("NUMBA_BOUNDSCHECK", "0") != "0":
        compiled = _compile(name, *types)  # raises Python exceptions, which only numba's own entry point can do
        assert compiled.address is not None
        return Kernel(compiled.address, compiled)
    file = "-".join(map(str, (name, *types, _fingerprint()))) + ".o"
    for folder, sources in cache_folders():
        try:
            content = read_private(folder / file, sources)
        except OSError:
            continue
        digest, code = content[:32], content[32:]
        if hashlib.sha256(code).digest() == digest:
            return _load(code)
    code = _target_machine().emit_object(_plain_module(_compile(name, *types)))
    _write_to_cache(file, code)
    return _load(code)


def _load(code: bytes) -> Kernel:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Kernel(engine.get_function_address(_ENTRY), engine)


def _compile(name: str, *types: str | int) -> "CFunc[Any]":
    import numba

    from atmnet.ops._numba import _kernels

    signature = numba.types.void(numba.types.CPointer(numba.types.int64))
    return numba.cfunc(signature, error_model="numpy")(getattr(_kernels, name)(*types))


def _plain_module(compiled: "CFunc[Any]") -> llvm.ModuleRef:
    """The kernel's LLVM module with a plain entry point, without numba's code that reports exceptions to Python.

    The kernels raise none.
    """
    inner = compiled.native_name.removeprefix("cfunc.")
    wrapper = f"""
        define void @{_ENTRY}(ptr %arguments) {{
            %result = alloca ptr
            %error = alloca ptr
            %status = call i32 @{inner}(ptr %result, ptr %error, ptr %arguments)
            ret void
        }}
    """
    module = llvm.parse_assembly(compiled.inspect_llvm() + wrapper)
    for function in module.functions:
        if not function.is_declaration and function.name != _ENTRY:
            function.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(_target_machine(), llvm.create_pipeline_tuning_options()))
    return module


def _target_machine() -> llvm.TargetMachine:
    """A target machine for this processor. Each call makes a new one, because an engine takes ownership of it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=3, jit=True)


@cache
def _fingerprint() -> str:
    """A hash of everything that the machine code depends on: our sources, the compilers, and the processor."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    compiler = [version("numba"), version("llvmlite"), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    return hashlib.sha256(b"\0".join([*sources, *(part.encode() for part in compiler)])).hexdigest()[:16]


def cache_folders() -> Iterator[tuple[Path, Path | None]]:
    """Folders for machine code in order of preference: next to the sources, then in the user's cache.

    With each comes the folder of sources that it belongs to, if any.
    """
    sources = Path(__file__).parent
    yield sources / "__pycache__", sources
    with contextlib.suppress(RuntimeError):  # the user has no home directory
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "atmnet", None


def _write_to_cache(file: str, code: bytes) -> None:
    """Write the file to the first folder that is writable; if none is, the next process compiles again."""
    for folder, sources in cache_folders():
        try:
            write_private(folder / file, hashlib.sha256(code).digest() + code, sources)
        except OSError:
            continue
        return
