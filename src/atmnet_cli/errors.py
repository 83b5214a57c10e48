"""The error that users see, and the checks of options that commands share."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from operator import attrgetter
from typing import Any


class UserError(ValueError):
    """A mistake that the user can correct. Its message is one line: what is wrong, what was expected, what to do."""


def first_line(error: BaseException) -> str:
    """The beginning of another library's error message, as one line of at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return textwrap.shorten(" ".join(lines[:2]), 300, placeholder=" ...") if lines else type(error).__name__


def check_minimums(options: Any, minimums: Mapping[str, float]) -> None:
    """Refuse numbers that are too small. An option that is None, or that these options do not have, passes.

    Args:
        options: Options of any command.
        minimums: Smallest value allowed, by the option's dotted name, such as ``{"data.workers": 0}``.

    Raises:
        UserError: Naming the first option that is below its minimum.
    """
    for name, minimum in minimums.items():
        value = options
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is not None and value < minimum:
            raise UserError(f"{name}: got {value}, expected at least {minimum}")


def refuse_unused(
    options: Any, taken_by: Mapping[str, Sequence[str]], chosen: str, what: str, prefix: str = ""
) -> None:
    """Refuse options that were set, though what was chosen does not take them.

    Args:
        options: Options of any kind.
        taken_by: Of each option that not all take, such as 'data.img_size', the choices that do.
        chosen: The choice that was made.
        what: What the user knows it as.
        prefix: What stands before the names on the command line.

    Raises:
        UserError: Naming the first such option that is not at its default.
    """
    for name in (name for name, takers in taken_by.items() if chosen not in takers):
        holder, _, leaf = name.rpartition(".")
        part = attrgetter(holder)(options) if holder else options
        default = next(_default(each) for each in fields(part) if each.name == leaf)
        if getattr(part, leaf) != default:
            raise UserError(f"{prefix}{name}: {what} does not take it; leave it at its default, {default!r}")


def _default(option: Field[Any]) -> Any:
    return option.default if option.default_factory is MISSING else option.default_factory()
