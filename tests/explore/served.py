"""The app as a process of its own, as ``atmnet explore`` starts it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class App:
    """A running app.

    Attributes:
        url: Its address, without a slash at the end.
        process: The process.
        folder: The folder of its temporary files.
        log: What it wrote after its address.
    """

    url: str
    process: subprocess.Popen[str]
    folder: Path
    log: list[str]

    def files(self) -> set[str]:
        """Names of the files that visitors uploaded, and of the examples that were copied."""
        return {path.name for path in self.folder.rglob("*") if path.is_file()}

    def memory(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return 1024 * int(line.split()[1])


@contextmanager
def served(folder: Path, *options: str) -> Iterator[App]:
    """The app of the digits' network at a free port, with more options."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "atmnet_cli", "explore", "--port", "0", "--open", "false", "--device", "cpu"]
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder
    )
    assert process.stdout is not None
    reader: threading.Thread | None = None
    try:
        first = process.stdout.readline()
        assert first.startswith("explore at http://127.0.0.1:"), first + process.stdout.read()
        log: list[str] = []
        reader = threading.Thread(target=lambda: log.extend(process.stdout or []), daemon=True)
        reader.start()
        yield App(first.split()[2], process, folder, log)
    finally:
        process.terminate()
        process.wait(30)
        if reader is not None:
            reader.join()
        process.stdout.close()
    assert not list(folder.glob("atmnet-explore-*")), "uploads are deleted at the end"
