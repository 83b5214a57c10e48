"""``atmnet convert``"""

from pathlib import Path

from atmnet.conversion import convert
from atmnet_cli.options import ConvertOptions
from atmnet_cli.printing import print_line


def run(options: ConvertOptions) -> int:
    """Write the data set, and print what was read, what was written, and what the format cannot hold."""
    for line in convert(options):
        print_line(line)
    arguments = f"--data.source {options.to} --data.root {options.output}"
    if (names := Path(options.output) / "classes.txt").is_file():
        arguments += f" --data.classes {names}"
    print_line(f"wrote {options.output}: {arguments}")
    return 0
