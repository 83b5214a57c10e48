"""Compiles kernels by numba and keeps the machine code.

Numba has a cache of its own, but to read that takes numba, which is half a second to start. LLVM alone loads an object
file in a few milliseconds.
"""

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm

_ENTRY = "atmnet_kernel"


class Kernel(NamedTuple):
    """Machine code of a function of one pointer, at an address that holds as long as its owner lives."""

    address: int
    owner: object


_LOCK = threading.RLock()  # threads that all make the first call must end up with the same kernel


def kernel(name: str, *types: str | int) -> Kernel:
    """The kernel that the function ``name`` of ``_kernels`` makes for these arguments."""
    with _LOCK:
        return _kernel(name, *types)


@cache
def _kernel(name: str, *types: str | int) -> Kernel:
    if os.environ.get("NUMBA_BOUNDSCHECK", "0") != "0":
        compiled = _compiled(name, *types)  # raises Python exceptions, so it stays where numba put it
        return Kernel(compiled.address, compiled)
    file = "-".join(map(str, (name, *types, _fingerprint()))) + ".o"
    for folder in _folders():
        try:
            kept = (folder / file).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(kept[32:]).digest() == kept[:32]:
            return _load(kept[32:])
    code = _machine().emit_object(_bare(_compiled(name, *types)))
    _keep(file, code)
    return _load(code)


def _load(code: bytes) -> Kernel:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Kernel(engine.get_function_address(_ENTRY), engine)


def _compiled(name, *types):
    import numba

    from atmnet.ops._numba import _kernels

    signature = numba.types.void(numba.types.CPointer(numba.types.int64))
    return numba.cfunc(signature, error_model="numpy")(getattr(_kernels, name)(*types))


def _bare(compiled) -> llvm.ModuleRef:
    """The kernel without what numba wraps around it to report exceptions, of which it raises none."""
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
    passes.run(module, llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options()))
    return module


def _machine() -> llvm.TargetMachine:
    """A new one each time: an engine owns the one that it is given."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=3, jit=True)


@cache
def _fingerprint() -> str:
    """Of all that the machine code depends on: our sources, who compiles them, and the processor."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    compiler = [version("numba"), version("llvmlite"), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    return hashlib.sha256(b"\0".join([*sources, *(part.encode() for part in compiler)])).hexdigest()[:16]


def _folders() -> Iterator[Path]:
    """Where to keep machine code, best first: beside the sources, for this user."""
    yield Path(__file__).parent / "__pycache__"
    with contextlib.suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "atmnet"


def _keep(file: str, code: bytes) -> None:
    """Write the file in the first folder that takes it; where none does, the next process compiles again."""
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as temporary:
                temporary.write(hashlib.sha256(code).digest() + code)
            os.chmod(temporary.name, 0o644)  # what one user compiled, others may load
            os.replace(temporary.name, folder / file)
        except OSError:
            continue
        return
