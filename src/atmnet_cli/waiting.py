"""How the CPU threads of PyTorch and our kernels wait for each other."""

import os
import sys

#: What users may set to decide it themselves: OpenMP's own variable, and those of GCC's and LLVM's runtimes.
_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def let_waiting_threads_sleep() -> None:
    """Let threads that wait for others sleep, unless the user has set how they wait.

    By default, a thread of OpenMP that waits for the others of an operation spins for milliseconds. If any other
    process keeps a core busy, it takes that core from the thread that it waits for, and an operation of a tenth of a
    millisecond lasts until the scheduler of the system changes over. A step has some hundreds of operations. The
    numbers are the same.

    OpenMP reads the variable as PyTorch is imported, so this has no effect afterwards.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _VARIABLES):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
