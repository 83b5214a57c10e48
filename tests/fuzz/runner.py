"""Runs damaged files through a target in a process of its own, within limits, and notes what must not happen."""

import faulthandler
import itertools
import json
import os
import resource
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from atmnet_cli.errors import UserError
from atmnet_runtime import FileError
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

#: Seconds of processor time that a case may take, and bytes that it may add to the process.
SECONDS, BYTES = 5, 2 * 2**30
#: A file that nothing may read, and an address where nothing listens; an attempt to connect is noted before it is made.
_SECRET = "secret"
_URL = "http://127.0.0.1:9/weights.pth"


class TooLongError(BaseException):
    """No ``except Exception`` stops it."""


def work(targets: list[str], first: int, count: int, sound: Path, folder: Path) -> None:
    """Run the seeds ``first`` to before ``first + count``; what fails goes to ``folder``/failures.jsonl."""
    from atmnet.data import coco, sources  # noqa: F401
    from atmnet.tasks import load_network

    load_network(str(sound / "checkpoints" / "upernet"))  # what is imported or compiled once is not of the first case
    forbidden = folder / _SECRET
    forbidden.write_text("secret")
    log: list[str] = []
    _watch(log, folder, forbidden)
    sizes = [int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text().split()]
    resource.setrlimit(resource.RLIMIT_AS, (sizes[0] + BYTES, -1))
    signal.signal(signal.SIGPROF, _too_long)
    with Path(os.devnull).open("w") as silent, (folder / "failures.jsonl").open("w") as failures:
        sys.stdout = sys.stderr = silent
        for target, seed in itertools.product(targets, range(first, first + count)):
            problem = _run(target, seed, sound, folder, log)
            if (size := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) > sizes[1] + BYTES:
                problem += f"\n{size:,} bytes"
            if problem:
                print(json.dumps({"target": target, "seed": seed, "problem": problem}), file=failures, flush=True)
    (folder / "done").touch()


def _run(target: str, seed: int, sound: Path, folder: Path, log: list[str]) -> str:
    """What is wrong with a case; '' if nothing is."""
    log.clear()
    (folder / "now").write_text(f"{target} {seed}")
    case = folder / "case"
    case.mkdir()
    problem = ""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        TARGETS[target](sound, case, lambda value: mutated(value, seed, _URL, str(folder / _SECRET)), seed)
    except (UserError, FileError) as error:
        if "\n" in str(error) or len(str(error)) > 2000:
            problem = f"not one line: {str(error)[:300]!r}"
    except BaseException as error:
        frames = traceback.format_tb(error.__traceback__)
        problem = f"{type(error).__name__}: {error}"[:300] + "\n" + "".join(frames[-3:])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if log:
        problem += f"\ntouched: {log}"
    shutil.rmtree(case)
    return problem


def _too_long(*_: Any) -> None:
    raise TooLongError(f"more than {SECONDS} s")


def _watch(log: list[str], folder: Path, forbidden: Path) -> None:
    """Note connections, programs that are started, and files that are written outside or that nothing may read."""
    allowed = (str(folder), os.devnull)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec"):
            log.append(f"{event} {args[1:]!r:.200}")
        elif event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            path, flags = os.fsdecode(args[0]), args[2] or 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if path == str(forbidden) or (writes and not path.startswith(allowed) and "__pycache__" not in path):
                log.append(f"open {path}")
        elif event in ("os.remove", "os.rename", "os.mkdir", "shutil.rmtree"):
            path = os.fsdecode(args[0])
            if os.path.isabs(path) and not path.startswith(allowed):
                log.append(f"{event} {path}")

    def refuse(self: socket.socket, address: Any) -> None:
        log.append(f"connect {address}")
        raise OSError("no network here")

    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
    sys.addaudithook(hook)
    faulthandler.enable()
