"""Locks by which processes, also on several machines that share a disk, divide work among each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atmnet.files import is_unsupported, open_to_append

try:
    import fcntl
except ImportError:  # Windows lacks it: there, two processes with the same work are not detected
    fcntl = None  # type: ignore[assignment]


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the lock of a file, which is created if it does not exist, for the block.

    The system releases the lock of a process that ends, however it ends.

    Yields:
        Whether the lock is held; false if another process holds it.
    """
    with open_to_append(path) as lock:
        is_held = True
        if fcntl is not None:
            try:
                # Unlike a lock of flock, loader processes do not inherit it; they outlive a killed run by seconds.
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                is_held = False
            except OSError as error:  # some network shares have no locks
                if not is_unsupported(error):
                    raise
        yield is_held
