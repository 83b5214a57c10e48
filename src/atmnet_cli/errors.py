"""The error for mistakes of users, and checks of options that several commands use."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from importlib.metadata import PackageNotFoundError, requires
from operator import attrgetter
from typing import Any

#: The longest message of a UserError, in characters. Names and keys in files of others may be of any length.
_LONGEST = 1500


class UserError(ValueError):
    """A mistake that the user can correct. Its message is one line: what is wrong, what was expected, what to do.

    Args:
        message: The message. The middle of a very long one is left out, since its end says what to do.
    """

    def __init__(self, message: str) -> None:
        cut = len(message) - _LONGEST
        super().__init__(message if cut <= 0 else f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}")


def first_line(error: BaseException) -> str:
    """The beginning of another library's error message, as one line of at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return textwrap.shorten(" ".join(lines[:2]), 300, placeholder=" ...") if lines else type(error).__name__


def install(extra: str) -> str:
    """The command that installs what an extra of this package needs, such as "pip install 'scikit-learn>=1.4'".

    It names packages, from this package's own metadata: 'atmnet[EXTRA]' would work only if atmnet were on an index.
    """
    try:
        required = requires("atmnet") or []
    except PackageNotFoundError:  # run from its source
        required = []
    pairs = [requirement.partition(";")[::2] for requirement in required]
    names = sorted(
        name.strip()
        for name, marker in pairs
        if not name.startswith("atmnet") and re.search(rf"extra == ['\"]{extra}['\"]", marker)
    )
    if not names:  # also if it was installed before it had this extra
        return f"install the packages that pyproject.toml lists for the extra {extra!r}"
    return "pip install " + " ".join(f"'{name}'" for name in names)


def check_minimums(options: Any, minimums: Mapping[str, float]) -> None:
    """Refuse numbers that are too small. Options that are None or do not exist pass.

    Args:
        options: Options of any command.
        minimums: Smallest value allowed, by the option's dotted name, such as ``{"data.workers": 0}``.

    Raises:
        UserError: If an option is below its minimum; names the first.
    """
    for name, minimum in minimums.items():
        value = options
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is not None and value < minimum:
            raise UserError(f"{name}: got {value}, expected at least {minimum}")


def refuse_options(options: Any, names: Iterable[str], chosen: str, prefix: str = "") -> None:
    """Refuse options that were set, but that another choice, such as that of the head, does not take.

    Args:
        options: Options of any command.
        names: Dotted names of the options that the choice does not take.
        chosen: The choice, in the user's terms, such as "model.head 'fcos'".
        prefix: Prefix of the names on the command line, such as 'data.'.

    Raises:
        UserError: If one of them is not at its default; names the first.
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
