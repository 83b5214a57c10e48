"""The command that runs, for pages that say how they were made."""

import shlex
from collections.abc import Sequence

_arguments: list[str] = []


def record_command(arguments: Sequence[str]) -> None:
    """Keep the arguments of the command that begins."""
    _arguments[:] = arguments


def command_line() -> str:
    """The command that runs, as typed, such as 'atmnet evaluate runs/mine'."""
    return shlex.join(["atmnet", *_arguments])
