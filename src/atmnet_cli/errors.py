"""The error that users see, and the checks of options that commands share."""

import textwrap
from collections.abc import Iterable, Mapping
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


def refuse_options(options: Any, names: Iterable[str], chosen: str, prefix: str = "") -> None:
    """Refuse options that were set although the choice made elsewhere does not take them.

    Args:
        options: Options of any command.
        names: Dotted names of the options that the choice does not take.
        chosen: The choice, as the user knows it, such as "model.head 'fcos'".
        prefix: What stands before the names on the command line.

    Raises:
        UserError: Naming the first of them that is not at its default.
    """
    for name in names:
        holder, _, leaf = name.rpartition(".")
        group = attrgetter(holder)(options) if holder else options
        default = next(_default(each) for each in fields(group) if each.name == leaf)
        if getattr(group, leaf) != default:
            advice = "leave it out" if default is None or default == "" else f"leave it at its default, {default!r}"
            raise UserError(f"{prefix}{name}: {chosen} does not take it; {advice}")


def _default(option: Field[Any]) -> Any:
    return option.default if option.default_factory is MISSING else option.default_factory()
