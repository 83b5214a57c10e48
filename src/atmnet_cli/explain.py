"""The parser's errors in the words of this package."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from atmnet_cli.renamed import RENAMED

_TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: 'a mapping, {"name": value}',
}


def explain(message: str, command: str, options: type | None, as_typed: dict[str, str]) -> str:
    """What is wrong, what was expected, and for an unknown option its new name or the closest known name.

    Args:
        message: The parser's message.
        command: The command.
        options: The dataclass of its options; None if the command is unknown.
        as_typed: Names of options as the user has typed them, by the names that the parser saw.
    """
    if options is not None:
        kinds = dict(_kinds(options))
        unknown = re.search(r"does not accept option '([\w.-]+)'|unrecognized arguments: --([\w.-]+)", message)
        if unknown:
            return _unknown_option((unknown[1] or unknown[2]).replace("-", "_"), list(kinds), as_typed)
        invalid = re.search(r'Parser key "([\w.]+)":.*(?:Got|Given) value: (.*)', message, re.DOTALL)
        if invalid and invalid[1] in kinds:
            return f"{invalid[1]}: got {invalid[2].strip()!r:.200}, expected {describe(kinds[invalid[1]])}"
    missing = re.fullmatch(r"the following arguments are required: (.*)", message.strip())
    if missing:
        names = re.sub(rf"--|\b{command}\.", "", missing[1])
        return f"{names}: missing; see `atmnet {command} --help`"
    return re.sub(rf"\b{command}\.", "--", message).strip()


def _unknown_option(name: str, known: list[str], as_typed: dict[str, str]) -> str:
    typed = as_typed.get(name, name)
    if RENAMED.get(name) in known:
        return f"option {typed!r} is now called {RENAMED[name]!r}"
    leaf = {each.rpartition(".")[2]: each for each in known}
    near = [leaf[each] for each in difflib.get_close_matches(name.rpartition(".")[2], leaf, n=1)]
    near = near or difflib.get_close_matches(name, known, n=1)
    return f"unknown option {typed!r}" + (f"; do you mean {near[0]!r}?" if near else "")


def _kinds(options: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All options with their types, under dotted names."""
    for name, kind in get_type_hints(options).items():
        yield prefix + name, kind
        for inner in (kind, *get_args(kind)):  # X, or the X of X | None
            if is_dataclass(inner):
                yield from _kinds(inner, f"{prefix}{name}.")  # type: ignore[arg-type]


def describe(kind: Any) -> str:
    """A type, in words."""
    arguments = [each for each in get_args(kind) if each is not NoneType]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if get_origin(kind) is tuple:
        return f"{len(arguments)} values, [{', '.join('...' for _ in arguments)}], each {describe(arguments[0])}"
    if get_origin(kind) is list:
        return f"a list, [...], of which each is {describe(arguments[0])}"
    if get_origin(kind) is dict:
        return _TYPES[dict]
    if arguments:  # a union
        return " or ".join(map(describe, arguments))
    return _TYPES.get(kind, "a group of options")
