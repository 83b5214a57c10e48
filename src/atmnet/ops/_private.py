"""Folders of machine code: it is loaded only from where nobody else can have put it, as pip does with its cache."""

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where a user's folders are the user's own
    fcntl = None  # type: ignore[assignment]

_logger = logging.getLogger(__name__)
_OTHERS_MAY_WRITE = 0o022
_ENDING = ".tmp"


def read_private(path: Path, sources: Path | None = None) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        sources: A folder whose code runs in any case; who can write there may have written the file.

    Raises:
        OSError: If there is none, or if another user can have written it or its folder, which is also logged.
    """
    with _opened(path.parent, sources) as folder, open(_open(path, folder, os.O_RDONLY), "rb") as file:
        _check(os.fstat(file.fileno()), path, sources)
        return file.read()


def write_private(path: Path, content: bytes, sources: Path | None = None) -> None:
    """Write a file whole or not at all; what killed processes left in its folder is removed. See :func:`read_private`.

    A new folder is the user's own, unless it lies among ``sources``.
    """
    path.parent.mkdir(mode=0o700 if sources is None else 0o777, parents=True, exist_ok=True)
    with _opened(path.parent, sources) as folder:
        _remove_leftovers(path.parent, folder)
        temporary = path.with_name(f".{path.name}.{os.getpid()}{_ENDING}")
        try:
            with open(_open(temporary, folder, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # says that this process is alive
                file.write(content)
            os.replace(_name(temporary, folder), _name(path, folder), src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(_name(temporary, folder), dir_fd=folder)
            raise


@cache
def keep_cache_private(variable: str, default: Path) -> None:
    """Let another library, which loads machine code from a cache, use a folder that nobody else can have written to.

    If its own is not one, it gets a temporary folder until the process ends.

    Args:
        variable: The environment variable that names its folder.
        default: The folder without that variable.
    """
    folder = Path(os.environ.get(variable) or default)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(folder, None):
            return
    except OSError:
        private = tempfile.mkdtemp(prefix="atmnet-")
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        os.environ[variable] = private


def keep_compiler_caches_private() -> None:
    """Call :func:`keep_cache_private` for the compilers of torch: inductor, by default in /tmp, and triton."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    keep_cache_private("TORCHINDUCTOR_CACHE_DIR", Path(default_cache_dir()))
    keep_triton_cache_private()


def keep_triton_cache_private() -> None:
    """Call :func:`keep_cache_private` for triton."""
    home = Path(os.environ.get("TRITON_HOME") or "~").expanduser()
    keep_cache_private("TRITON_CACHE_DIR", home / ".triton" / "cache")


@contextlib.contextmanager
def _opened(folder: Path, sources: Path | None) -> Iterator[int | None]:
    """A handle of a folder that was checked; nobody can exchange the folder before it is used."""
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check(os.fstat(handle), folder, sources)
        yield handle
    finally:
        os.close(handle)


def _open(path: Path, folder: int | None, flags: int) -> int:
    return os.open(_name(path, folder), flags | getattr(os, "O_NOFOLLOW", 0), 0o644, dir_fd=folder)


def _name(path: Path, folder: int | None) -> str | Path:
    return path if folder is None else path.name


def _check(entry: os.stat_result, path: Path, sources: Path | None) -> None:
    if fcntl is None:
        return
    owners, allowed = {0, os.geteuid()}, 0
    if sources is not None:
        of_sources = sources.stat()
        owners.add(of_sources.st_uid)
        allowed = of_sources.st_mode
    if entry.st_uid not in owners or entry.st_mode & _OTHERS_MAY_WRITE & ~allowed:
        _warn(path)
        raise PermissionError(f"{path}: other users can have written it")


@cache
def _warn(path: Path) -> None:
    _logger.warning(
        "%s: not used, because other users can have put machine code there; remove it, or set XDG_CACHE_HOME", path
    )


def _remove_leftovers(path: Path, folder: int | None) -> None:
    """Remove the temporary files that no living process holds."""
    if fcntl is None:
        return
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(_ENDING):
            try:
                with open(_open(path / name, folder, os.O_RDONLY), "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=folder)
            except OSError:
                continue
