"""``atmnet export``"""

import time
from dataclasses import fields

from atmnet.cli.checkpoint_note import note_checkpoint
from atmnet.export import ExportSettings, export
from atmnet.export.formats import find_format
from atmnet.tasks import load_network
from atmnet.threads import cpu_threads
from atmnet_cli.errors import check_minimums
from atmnet_cli.options import ExportOptions
from atmnet_cli.printing import print_line, print_lines


def run(options: ExportOptions) -> int:
    """Write the file and print how it compares with the model."""
    check_minimums(options, {"threads": 1})
    settings = ExportSettings(**{field.name: getattr(options, field.name) for field in fields(ExportSettings)})
    suffix = find_format(settings.to).suffix
    started = time.monotonic()

    def progress(stage: str) -> None:
        print_line(f"{time.monotonic() - started:6.1f} s  {stage}", error=True)

    network = load_network(options.model, options.weights)
    note_checkpoint(options.model)
    with cpu_threads(options.threads):
        report = export(network, options.output or network.name.replace(" ", "_") + suffix, settings, progress)
    print_lines(report.text)
    return 0
