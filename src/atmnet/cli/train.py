"""``atmnet train``"""

import os
import time

from atmnet.engine import train
from atmnet_cli.options import TrainOptions
from atmnet_cli.printing import print_line


def run(options: TrainOptions) -> int:
    """Train, and print the process time that it took."""
    before = time.process_time()
    folder = train(options)
    if os.environ.get("RANK", "0") == "0":
        print_line(f"process time {time.process_time() - before:.1f} s; metrics in {folder / 'metrics.jsonl'}")
    return 0
