"""``atmnet train``"""

import os
import time
from pathlib import Path

from atmnet.engine import Interrupted, latest_checkpoint, train
from atmnet.predictions.board import DRAW
from atmnet_cli.ending import Failure, failure_text
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions
from atmnet_cli.printing import print_line


def run(options: TrainOptions) -> int:
    """Train, and print the process time that it took.

    Raises:
        Failure: After an error that nobody expected; says which checkpoint is the last.
    """
    before = time.process_time()
    try:
        folder = train(options, draw=DRAW)
    except (UserError, Interrupted):
        raise
    except KeyboardInterrupt as stop:
        if _last_checkpoint(options) is not None:
            stop.args = (f"{str(stop) or 'interrupted'}; {_how_to_go_on(options)}",)
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename and _last_checkpoint(options) is None:
            raise  # a file in the way, before the first step
        raise Failure(f"{failure_text(error)}; {_how_to_go_on(options)}") from error
    if os.environ.get("RANK", "0") == "0":
        print_line(f"process time {time.process_time() - before:.1f} s; metrics in {folder / 'metrics.jsonl'}")
    return 0


def _how_to_go_on(options: TrainOptions) -> str:
    checkpoint = _last_checkpoint(options)
    if checkpoint is None:
        return "there is no checkpoint yet, so the same command starts again"
    return f"the last checkpoint is {checkpoint}; run the same command to resume from it"


def _last_checkpoint(options: TrainOptions) -> Path | None:
    return latest_checkpoint(Path(options.output))
