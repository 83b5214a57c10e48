"""What a test must not leave behind: processes, descriptors, shared memory and temporary files.

A folder's tests are checked where its conftest.py imports :func:`no_leftovers`.
"""

import ctypes
import gc
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

_PR_SET_CHILD_SUBREAPER = 36
#: multiprocessing's own processes, which live as long as this one; their attributes are private.
_FORK_SERVER: Any = multiprocessing.forkserver._forkserver
_TRACKER: Any = multiprocessing.resource_tracker._resource_tracker
#: multiprocessing's folders, which are looked into, and the cache of torch's compiler, which is kept on purpose.
_KEPT = ("pymp-", "torchinductor_")
#: Folders of Weights & Biases, which it removes as the process ends.
_KEPT_ENDINGS = ("wandb-media", "wandb-artifacts")
#: Seconds that what is about to end may take: a loader process notices the end of its parent within one or two.
_PATIENCE = 8.0


@pytest.fixture(scope="session")
def own_temporary_folder(tmp_path_factory):
    """All temporary files of this process and its children go to a folder of its own, where no neighbour's are."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("t", numbered=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", tempfile.tempdir)
        yield Path(tempfile.tempdir)
    tempfile.tempdir = before


@pytest.fixture(autouse=True)
def no_leftovers(request, own_temporary_folder):
    """Fails a test that leaves something behind that it did not find."""
    if sys.platform != "linux":
        yield
        return
    # Processes whose parent has ended become children of this one.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = _present(own_temporary_folder)
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    deadline = time.monotonic() + _PATIENCE
    while left := _present(own_temporary_folder) - before:
        if time.monotonic() > deadline:
            break
        gc.collect()  # a process or file that only a cycle still refers to
        time.sleep(0.05)
    for kind, name in left:
        if kind == "process":
            os.kill(int(name.split()[0]), signal.SIGKILL)
    assert not left, f"left behind: {left}"
    assert folder is None or not list(folder.rglob(".*.tmp"))


def _present(folder: Path) -> set[tuple[str, str]]:
    return {
        *(("process", name) for name in _processes()),
        *(("descriptor", name) for name in _descriptors()),
        *(("shared memory", name) for name in _shared_memory()),
        *(
            ("temporary file", path.name)
            for path in folder.iterdir()
            if not path.name.startswith(_KEPT) and not path.name.endswith(_KEPT_ENDINGS)
        ),
        *(("temporary file", str(path)) for path in folder.glob("pymp-*/*") if not _is_the_servers(path)),
    }


def _is_the_servers(path: Path) -> bool:
    return str(path) == str(_FORK_SERVER._forkserver_address)


def _processes() -> list[str]:
    """Children of this process, and of the server that it forks commands off, as '17 python ...'."""
    server = _FORK_SERVER._forkserver_pid
    own = children(os.getpid())
    others = [pid for pid in own if pid not in (server, _TRACKER._pid)]
    descriptions = []
    for pid in [*others, *(children(server) if server in own else [])]:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if command:
            descriptions.append(f"{pid} {command.replace(bytes(1), b' ').decode()[:200]}")
        elif pid in own and pid not in {child.pid for child in multiprocessing.active_children()}:
            os.waitpid(pid, os.WNOHANG)  # an orphan that has ended
    return descriptions


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def _descriptors() -> list[str]:
    """Files, sockets and pipes that are open, other than those of multiprocessing's servers."""
    servers = {
        _FORK_SERVER._forkserver_alive_fd,
        _TRACKER._fd,
    }
    found = []
    for handle in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{handle}")
        except OSError:
            continue
        if int(handle) not in servers and not target.startswith(("/dev/", "/proc/", "/sys/", "anon_inode:")):
            found.append(f"{handle} {target}")
    return found


def _shared_memory() -> list[str]:
    """What this process or one that has ended left in /dev/shm; what neighbours have there is theirs."""
    found = []
    for name in os.listdir("/dev/shm"):
        owner = re.match(r"torch_(\d+)_", name)
        if owner and (int(owner[1]) == os.getpid() or not Path(f"/proc/{owner[1]}").exists()):
            found.append(name)
    return found
