"""Everything that only a GPU can show, in one command: ``python -m benchmarks.gpu``.

First what needs no quiet machine, side by side: the tests of the kernels and of ``tests/gpu``, NVIDIA's memory checker
where it is installed, and one process for each model that torch.compile will meet, which fills the compiler's cache.
Then the measurements, one at a time, and their tables in ``docs``.

What has ended well is not done again, so the command can be run in parts: it begins nothing that may not end within
``--seconds``. Each part's output, and which have ended, are in ``--folder``. The exit status is 0 if all parts have
ended well, 1 if one failed, and 3 if some are left for another run.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Cases of the kernels' tests that touch every kind of memory access; all cases take the checker too long.
CHECKED = "test_shapes or test_all_outside or test_odd_offsets"
WORKERS = 6
#: The measurements, by how much they tell for their time, and their seconds on an H200.
SCRIPTS = {
    "kernels": 25,
    "launches": 25,
    "step": 60,
    "model": 90,
    "layer": 25,
    "operator": 50,
    "first_call": 60,
    "growth": 40,
    "fold": 40,
}


@dataclass(frozen=True)
class Part:
    """One process.

    Attributes:
        name: Its name in the folder and on the command line.
        command: Arguments of Python, or a program and its arguments.
        seconds: How long it may take on an H200, by which a run decides whether it still fits.
        alone: Whether nothing may run beside it.
        environment: Variables that it needs.
    """

    name: str
    command: list[str]
    seconds: int
    alone: bool = True
    environment: dict[str, str] = field(default_factory=dict)


def parts(device: str, quick: bool, folder: Path) -> Iterator[Part]:
    """All parts, in the order in which they are begun. Quick ones leave their records in the folder."""
    cuda = device == "cuda"
    files = [*(["tests/gpu"] if cuda else []), "tests/ops/test_triton.py"]
    workers = ["--numprocesses", str(WORKERS)] if cuda else []
    yield Part("tests", ["-m", "pytest", "-m", "", "--durations=20", *workers, *files], 240, alone=False)
    if cuda and shutil.which("compute-sanitizer"):
        for tool in ("memcheck", "racecheck"):
            command = ["compute-sanitizer", f"--tool={tool}", "--error-exitcode=9", sys.executable]
            command += ["-m", "pytest", "tests/ops/triton_cases.py", "-k", CHECKED]
            yield Part(tool, command, 120, alone=False)
    if cuda and not quick:
        from benchmarks.compile_ahead import compiled

        for name in compiled(device):
            yield Part(f"compile {name}", ["-m", "benchmarks.compile_ahead", name], 140, alone=False)
    interpreted = {} if cuda else {"TRITON_INTERPRET": "1"}
    for name, seconds in SCRIPTS.items():
        command = ["-m", f"benchmarks.{name}", "--device", device]
        command += ["--quick", "--output", str(folder / f"{name}.json")] if quick else ["--rounds", "9"]
        yield Part(name, command, seconds, environment=interpreted if name == "kernels" else {})


class Run:
    """Carries out parts until there is no time for the next.

    Args:
        folder: Where each part's output goes, and a file NAME.done for each that has ended well.
        seconds: How long the whole may take.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._end = time.monotonic() + seconds

    def carry_out(self, part: Part) -> str:
        """Returns how the part has ended: 'done', 'done before', 'failed', or 'left'."""
        done = self._folder / f"{part.name}.done"
        if done.exists():
            return "done before"
        start = time.monotonic()
        if start + part.seconds > self._end:
            return "left"
        command = part.command if shutil.which(part.command[0]) else [sys.executable, *part.command]
        with open(self._folder / f"{part.name}.txt", "w", encoding="utf-8") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | part.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its own processes end with it
            )
            try:
                status = process.wait(self._end - start)
            except subprocess.TimeoutExpired:
                return "left"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        print(f"{part.name}: {time.monotonic() - start:.0f} s, exit status {status}", file=sys.stderr, flush=True)
        if status == 0:
            done.touch()
        return "failed" if status else "done"


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out all parts, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"), help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, which test the command; writes no records")
    parser.add_argument("--seconds", type=float, default=540, help="how long it may take; default: %(default)s")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "gpu", help="default: build/gpu")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="only these; default: all")
    options = parser.parse_args(arguments)
    chosen = list(parts(options.device, options.quick, options.folder))
    names = [part.name for part in chosen]
    for name in options.parts or []:
        if name not in names:
            parser.error(f"argument --parts: got {name!r}, expected some of: {', '.join(names)}")
    chosen = [part for part in chosen if not options.parts or part.name in options.parts]

    run = Run(options.folder, options.seconds)
    beside = [part for part in chosen if not part.alone]
    with ThreadPoolExecutor(max(1, len(beside))) as pool:
        ends = dict(zip([part.name for part in beside], pool.map(run.carry_out, beside), strict=True))
    ends |= {part.name: run.carry_out(part) for part in chosen if part.alone}
    if not options.quick:
        from benchmarks import tables

        tables.main()
    for end in dict.fromkeys(ends.values()):
        print(f"{end}: {', '.join(name for name in ends if ends[name] == end)}")
    return 1 if "failed" in ends.values() else 3 if "left" in ends.values() else 0


if __name__ == "__main__":
    sys.exit(main())
