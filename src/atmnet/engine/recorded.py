"""The options that a run has recorded in its folder, read back: whatever is in the file, what comes out are options."""

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from atmnet.files import to_json
from atmnet.records import Record
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions
from atmnet_cli.renamed import translate

#: The file in a run's folder that holds its options.
OPTIONS_FILE = "options.json"


def find_run(path: Path) -> Path | None:
    """The run's folder for a run or checkpoint folder; None if ``path`` does not belong to a run."""
    for folder in (path, *path.resolve().parents[:2]):
        if (folder / OPTIONS_FILE).is_file():
            return folder
    return None


def read_options(path: Path) -> dict[str, Any] | None:
    """The options of the run that a run or checkpoint folder belongs to, under the names of this version.

    Returns:
        The options; None if the folder belongs to no run.

    Raises:
        UserError: If the file with the options is damaged.
    """
    run = find_run(path)
    return None if run is None else read_run(run)


def read_run(run: Path) -> dict[str, Any]:
    """The options in a run's folder, under the names of this version.

    An earlier version may have recorded fewer options; the run then used the defaults of the others.

    Raises:
        UserError: If the file is missing or damaged, or has options that this version does not know.
    """
    path = run / OPTIONS_FILE
    options = translate(Record.read(path).value)
    _check(options, TrainOptions, str(path), "")
    defaults = json.loads(to_json(asdict(TrainOptions(output=""))))
    if options.get("ema"):
        defaults["ema_warmup"] = False  # the moving averages of versions without this option did not warm up
    return cast(dict[str, Any], _with_defaults(options, defaults))


def _with_defaults(recorded: object, defaults: object) -> object:
    if isinstance(recorded, dict) and isinstance(defaults, dict):
        return {**defaults, **{key: _with_defaults(value, defaults.get(key)) for key, value in recorded.items()}}
    return recorded


def _check(values: dict[str, Any], options: type, where: str, prefix: str) -> None:
    """Refuse values that are not of the types that the dataclass ``options`` declares."""
    kinds = get_type_hints(options)
    for name, value in values.items():
        kind = kinds.get(name)
        if kind is None:
            raise UserError(f"{where}: {prefix}{name} is not an option of training in this version")
        if is_dataclass(kind) and isinstance(value, dict):
            _check(value, kind, where, f"{prefix}{name}.")  # type: ignore[arg-type]
        elif not _is(value, kind):
            raise UserError(f"{where}: {prefix}{name}: got {repr(value)[:80]}, which is not a value of this option")


def _is(value: object, kind: Any) -> bool:
    """Whether a value of JSON is one of an annotated type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_is(value, each) for each in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(_is, value, arguments))
    if origin is list:
        return isinstance(value, list) and all(_is(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict)
    if kind is NoneType:
        return value is None
    # A number that is not finite was recorded as null.
    return type(value) is kind or (kind is float and (type(value) is int or value is None))
