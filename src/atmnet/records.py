"""JSON that anybody may have written: read with limits, and checked field by field.

Checkpoints, runs and annotations come from other people and from killed processes. Whatever is in them, reading it ends
with values of the expected types or with one line that names the file and the field.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from atmnet_cli.errors import UserError, first_line

#: Upper limit of a configuration or a run's state, in bytes; the largest that we write has a few megabytes.
MAX_BYTES = 64 * 2**20

_REQUIRED: Any = object()


def read_json(path: Path, max_bytes: int | None = MAX_BYTES, constants: Callable[[str], Any] | None = None) -> Any:
    """The value in a JSON file.

    Args:
        path: The file, in UTF-8, with or without a byte order mark.
        max_bytes: Upper limit of its size; None for no limit.
        constants: See :func:`parse_json`.

    Raises:
        UserError: If the file is missing, unreadable or too large, or is not valid JSON, which NaN is not.
    """
    try:
        if max_bytes is not None and (size := path.stat().st_size) > max_bytes:
            raise UserError(f"{path}: got {size:,} bytes, expected at most {max_bytes:,}")
        return parse_json(path.read_text(encoding="utf-8-sig"), str(path), constants)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def parse_json(text: str, where: str, constants: Callable[[str], Any] | None = None) -> Any:
    """The value of a JSON text; ``where`` names its origin in errors.

    Args:
        text: The text.
        where: Its origin.
        constants: Value of 'NaN', 'Infinity' and '-Infinity', which earlier versions wrote. Default: they are refused.

    Raises:
        UserError: If it is not valid JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=constants or _refuse_constant)
    except RecursionError as error:
        raise UserError(f"{where}: not valid JSON: nested too deeply") from error
    except ValueError as error:  # also integers of more digits than Python converts
        raise UserError(f"{where}: not valid JSON: {first_line(error)}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


class Record:
    """A JSON object whose fields are checked as they are read. Each method raises :class:`UserError` for a wrong field.

    Args:
        value: The object.
        where: Its origin, for errors: a file, and a field's name within it.

    Examples:
        >>> record = Record({"classes": 3, "mean": [0.5, 0.5, 0.5]}, "config.json")
        >>> record.integer("classes", 1), record.numbers("mean", 3), record.text("name", "atmnet")
        (3, [0.5, 0.5, 0.5], 'atmnet')
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise UserError(f"{where}: got {short(value)}, expected an object of JSON")
        self.value: dict[str, Any] = value
        self.where = where

    @classmethod
    def read(cls, path: Path, max_bytes: int | None = MAX_BYTES) -> "Record":
        """The object in a JSON file."""
        return cls(read_json(path, max_bytes), str(path))

    def __contains__(self, key: str) -> bool:
        return self.value.get(key) is not None

    def text(self, key: str, default: str = _REQUIRED) -> str:
        """A string."""
        return self._get(key, default, "a string", lambda value: isinstance(value, str))

    def texts(self, key: str, default: list[str] = _REQUIRED) -> list[str]:
        """A list of strings."""
        return self._get(key, default, "a list of strings", lambda value: _is_list(value, str))

    def boolean(self, key: str, default: bool = _REQUIRED) -> bool:
        """True or false."""
        return self._get(key, default, "true or false", lambda value: isinstance(value, bool))

    def integer(self, key: str, low: int = 0, high: int = 2**53, default: int = _REQUIRED) -> int:
        """An integer from ``low`` to ``high``."""
        expected = f"an integer from {low} to {high}"
        return self._get(key, default, expected, lambda value: _is_number(value, low, high, int))

    def number(self, key: str, low: float = -1e30, high: float = 1e30, default: float = _REQUIRED) -> float:
        """A finite number from ``low`` to ``high``."""
        expected = f"a number from {low:g} to {high:g}"
        return self._get(key, default, expected, lambda value: _is_number(value, low, high))

    def numbers(
        self,
        key: str,
        count: int | None = None,
        low: float = -1e30,
        high: float = 1e30,
        default: list[float] = _REQUIRED,
    ) -> list[float]:
        """A list of ``count`` finite numbers from ``low`` to ``high``; of any length if ``count`` is None."""
        expected = f"{'a list of' if count is None else count} numbers from {low:g} to {high:g}"
        return self._get(
            key,
            default,
            expected,
            lambda value: (
                isinstance(value, list)
                and (count is None or len(value) == count)
                and all(_is_number(item, low, high) for item in value)
            ),
        )

    def record(self, key: str, default: dict[str, Any] = _REQUIRED) -> "Record":
        """An object within this one."""
        return Record(
            self._get(key, default, "an object", lambda value: isinstance(value, dict)), f"{self.where}: {key}"
        )

    def _get(self, key: str, default: Any, expected: str, is_valid: Callable[[Any], bool]) -> Any:
        value = self.value.get(key, default)
        if value is _REQUIRED:
            raise UserError(f"{self.where}: {key} is missing, expected {expected}")
        if value is not default and not is_valid(value):
            raise UserError(f"{self.where}: {key}: got {short(value)}, expected {expected}")
        return value


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _is_number(value: object, low: float, high: float, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    # Comparisons of NaN are false, and those of integers are exact whatever their size.
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high  # type: ignore[operator]


def short(value: object) -> str:
    """A value in an error message; a hostile one may be of any size."""
    if isinstance(value, list) and len(value) <= 4 and all(type(x) in (int, float) and abs(x) < 1e9 for x in value):
        return str(value)
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)} items"
    if isinstance(value, int) and abs(value) > 10**40:
        return "an integer of more than 40 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
