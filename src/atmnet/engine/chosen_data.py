"""Which data a run uses: chosen as it starts, recorded, and the same when it resumes."""

from dataclasses import replace
from pathlib import Path

from atmnet.data.sources import choose_source
from atmnet.engine.checkpoint import latest_checkpoint
from atmnet.engine.recorded import read_run
from atmnet.tasks.heads import find_head
from atmnet_cli.options import TrainOptions


def choose_data(options: TrainOptions) -> tuple[TrainOptions, str]:
    """The options with a source in place of 'auto', and a line that says which, or "".

    A run that resumes keeps the source that it recorded, whatever its folder of data looks like now.

    Raises:
        UserError: If the data are not recognised.
    """
    if options.data.source == "auto" and latest_checkpoint(Path(options.output)) is not None:
        source = read_run(Path(options.output))["data"]["source"]
        return replace(options, data=replace(options.data, source=source)), ""
    data, line = choose_source(options.data, find_head(options.model.head).kind)
    return replace(options, data=data), line
