"""Which data a run uses: chosen as it starts, recorded, and the same when it resumes."""

from dataclasses import replace
from pathlib import Path

from atmnet.data import Split
from atmnet.data.own_split import SPLIT_FILE
from atmnet.data.sources import choose_source
from atmnet.engine.checkpoint import latest_checkpoint
from atmnet.engine.recorded import read_run
from atmnet.files import write_json
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
        data, line = replace(options.data, source=source), ""
    else:
        data, line = choose_source(options.data, find_head(options.model.head).kind)
    written = Path(options.output) / SPLIT_FILE
    if not data.split_file and latest_checkpoint(Path(options.output)) is not None and written.is_file():
        data = replace(data, split_file=str(written))
    return replace(options, data=data), line


def write_division(folder: Path, train: Split, val: Split) -> str:
    """Write the names of each part to the run's folder if the data were divided; returns a line about it, or ""."""
    if not getattr(train, "own_part", False):
        return ""
    names = {
        name: [split.name(index) for index in range(len(split))] for name, split in (("train", train), ("val", val))
    }
    write_json(folder / SPLIT_FILE, names)
    return (
        f"the data have no splits: {len(train)} images are for training, {len(val)} for validation, as "
        f"{folder / SPLIT_FILE} lists them (data.val_share, data.split_seed)"
    )
