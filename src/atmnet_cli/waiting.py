"""How the CPU threads of PyTorch and our kernels wait for each other."""

import os
import sys
from pathlib import Path

#: What users may set to decide it themselves: OpenMP's own variable, and those of GCC's and LLVM's runtimes.
_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
#: The mean number of running processes in the last minute from which a machine counts as busy, if one is running now.
_BUSY = 0.5


def let_waiting_threads_sleep(load: Path = Path("/proc/loadavg")) -> None:
    """Let threads that wait for others sleep if other processes are running, unless the user has set how they wait.

    By default, a thread of OpenMP that waits for the others of an operation spins for milliseconds. On a machine that
    does nothing else, that is fast: the training step of a small network takes half the time. But if another process
    keeps a core busy, the spinning thread takes its core from the thread that it waits for, and an operation of a tenth
    of a millisecond lasts until the scheduler of the system changes over. The numbers are the same either way.

    OpenMP reads the variable as PyTorch is imported, so this has no effect afterwards.

    Args:
        load: Linux's file about the load; where there is none, threads spin.
    """
    is_set = any(name in os.environ for name in _VARIABLES)
    if "torch" not in sys.modules and not is_set and _others_are_running(load):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def _others_are_running(load: Path) -> bool:
    try:
        last_minute, _, _, now, _ = load.read_text().split()  # such as '0.80 0.61 0.55 2/301 4711'
        running = int(now.partition("/")[0]) - 1  # without this process
        return running > 0 and float(last_minute) >= _BUSY
    except (OSError, ValueError):
        return False
