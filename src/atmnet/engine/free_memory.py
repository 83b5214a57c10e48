"""How much memory a process on Linux may still take: that of the machine, and that of its control groups."""

import contextlib
from pathlib import Path

_KIB = 1024
#: Files of a control group in version 2 and 1: limit, use, and the line of memory.stat with what can be dropped.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take without swapping or being killed; None if the system does not say.

    Containers and schedulers limit memory by control groups, so the smallest rest of this process's groups and of
    those around them counts. Cached files do not count as used.

    Args:
        root: Where proc and sys are; another folder in tests.
    """
    machine = _fields(root / "proc/meminfo").get("MemAvailable")
    if machine is None:
        return None
    return min([machine * _KIB, *_rests(root)])


def resident_memory() -> int:
    """Bytes of memory that this process holds."""
    return _fields(Path("/proc/self/status"))["VmRSS"] * _KIB


def reset_peak() -> None:
    """Let :func:`peak_memory` begin anew. Where the system forbids it, the peak is that since the process began."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The most bytes that this process has held at any time since :func:`reset_peak`."""
    return _fields(Path("/proc/self/status"))["VmHWM"] * _KIB


def _rests(root: Path) -> list[int]:
    """What each control group of this process leaves, in bytes."""
    rests = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        version = 1 if controllers else 2
        mount = root / "sys/fs/cgroup" / controllers
        folder = mount / path.lstrip("/")
        for group in [folder, *folder.parents]:
            rests += _rest(group, version)
            if group == mount:
                break
    return rests


def _rest(group: Path, version: int) -> list[int]:
    limit_file, use_file, cache = _FILES[version]
    limit, used = _text(group / limit_file).strip(), _text(group / use_file).strip()
    if not limit.isdigit() or not used.isdigit():  # "max", or no such group in this container
        return []
    return [max(0, int(limit) - int(used) + _fields(group / "memory.stat").get(cache, 0))]


def _fields(path: Path) -> dict[str, int]:
    """Lines such as 'MemFree: 12 kB' or 'inactive_file 12', by name."""
    words = [line.replace(":", " ").split() for line in _text(path).splitlines()]
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
