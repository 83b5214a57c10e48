"""The ``atmnet`` command: parses options, runs the module of the command, and reports errors."""

import contextlib
import difflib
import importlib
import re
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, set_parsing_settings

from atmnet_cli.ending import Failure, Terminated, failure_text, signals_as_exceptions
from atmnet_cli.errors import UserError, install
from atmnet_cli.explain import explain
from atmnet_cli.help import FIRST, CommandParser, versions
from atmnet_cli.invocation import record_command
from atmnet_cli.options import (
    BenchmarkOptions,
    CheckDataOptions,
    CompareOptions,
    ConvertOptions,
    EmbedOptions,
    EnvOptions,
    EvaluateOptions,
    ExploreOptions,
    ExportOptions,
    MakeScenesOptions,
    ModelsOptions,
    PredictOptions,
    TrainOptions,
    WeightsOptions,
)
from atmnet_cli.own_modules import import_own_modules
from atmnet_cli.printing import ERROR
from atmnet_cli.streams import durable_streams, open_closed_streams, print_error
from atmnet_cli.waiting import let_waiting_threads_sleep

RECIPES = Path(__file__).parents[1] / "atmnet" / "recipes"

_COMMANDS = {
    "train": TrainOptions,
    "evaluate": EvaluateOptions,
    "predict": PredictOptions,
    "embed": EmbedOptions,
    "explore": ExploreOptions,
    "models": ModelsOptions,
    "compare": CompareOptions,
    "benchmark": BenchmarkOptions,
    "check-data": CheckDataOptions,
    "convert": ConvertOptions,
    "make-scenes": MakeScenesOptions,
    "export": ExportOptions,
    "weights": WeightsOptions,
    "env": EnvOptions,
}
#: Help of positional arguments.
_POSITIONAL = {
    "make-scenes": {"directory": "Folder to write to; it must be new or empty."},
    "evaluate": {"model": "Run or checkpoint folder, or the name of a model together with --weights."},
    "export": {"model": "Run or checkpoint folder, or the name of a model together with --weights."},
    "predict": {
        "model": "Run or checkpoint folder, exported file, or the name of a model together with --weights.",
        "images": "Image files, folders and patterns; - for names on stdin, @FILE for those in a file.",
    },
    "embed": {
        "model": "Run or checkpoint folder, or the name of a model, with --weights or pretrained.",
        "images": "Image files, folders and patterns; - for names on stdin, @FILE for those in a file.",
    },
    "explore": {
        "model": "Run or checkpoint folder, exported file, or the name of weights. Default: atmnet_nano.digits.",
    },
    "weights": {
        "action": "'import FILE ...', 'list', 'export NAME FOLDER' or 'push OWNER [NAME ...]'.",
        "arguments": "Files, names or folders, as the action takes them.",
    },
}
#: Positional arguments that take several values, and how many.
_SEVERAL = {"images": "+", "arguments": "*"}
#: Commands whose positional arguments may be left out.
_OPTIONAL = ("explore",)
#: Commands that say how the programs of users run on this machine, so that they leave the threads' settings alone.
_ABOUT_THE_MACHINE = ("benchmark", "env")
#: Commands that train, and so take recipes.
_RECIPES_OF = ("train", "compare")
#: Options that the command line takes several values of without brackets.
_LISTS: dict[str, dict[str, Any]] = {
    "train": {"trackers": Literal["wandb", "mlflow"]},
    "benchmark": {"models": str},
    "compare": {"models": str | dict[str, Any], "lrs": float},
}
_LIST_HELP = {
    "models": "Names of timm models; the others are compared with the first.",
    "trackers": "Experiment trackers that get the metrics, besides TensorBoard's files: wandb, mlflow.",
    "lrs": "Learning rates to try for each model on a part held out of the training data. Default: only optim.lr.",
}
#: The option that may be typed with two numbers.
_PAIR = "--data.range"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def recipes_of(command: str) -> list[str]:
    """Names of the recipes that a command takes: those of training, and for ``compare`` its own, too."""
    names = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    return names if command == "compare" else [name for name in names if not name.startswith("compare_")]


def build_parser(full_help: bool = False, only: str = "") -> ArgumentParser:
    """The parser of all commands, made from their options.

    Args:
        full_help: Whether the help of a command explains all of its options.
        only: A command; the others then have no options, which saves the time to build them.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True, add_print_completion_argument=True)
    parser = ArgumentParser(
        prog="atmnet",
        description="Active Token Mixer: train, evaluate, use and export vision backbones.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=versions(), help="Print versions and exit.")
    parser.add_argument("--verbose", action="store_true", help="With --version: print what `atmnet env` prints.")
    commands = parser.add_subcommands(metavar="COMMAND")
    for name, options in _COMMANDS.items():
        positional = _POSITIONAL.get(name, {})
        shown = (key.upper() + " ..." * (key in _SEVERAL) for key in positional)
        usage = " ".join(["atmnet", name, *(f"[{each}]" if name in _OPTIONAL else each for each in shown)])
        command = CommandParser(
            first=() if full_help else FIRST.get(name, ()),
            description=(options.__doc__ or ""),
            usage=f"{usage} {'[--config RECIPE] --output DIR ' * (name in _RECIPES_OF)}[options]",
            exit_on_error=False,
            allow_abbrev=False,
        )
        if only not in ("", name):
            commands.add_subcommand(name, command, help=(options.__doc__ or "").splitlines()[0])
            continue
        if name in _RECIPES_OF:
            recipes = ", ".join(recipes_of(name))
            command.add_argument(
                "--config", action="config", help=f"YAML file of options, or one of the recipes: {recipes}."
            )
        for key, text in positional.items():
            several: dict[str, Any] = {"nargs": _SEVERAL[key]} if key in _SEVERAL else {}
            if name in _OPTIONAL:
                several = {"nargs": "?", "default": next(each.default for each in fields(options) if each.name == key)}
            command.add_argument(key, help=text, type=str, **several)
        added = set(positional)
        command.add_class_arguments(options, skip=added | set(_LISTS.get(name, ())))
        for key, kind in _LISTS.get(name, {}).items():
            factory: Any = next(each.default_factory for each in fields(options) if each.name == key)
            command.add_argument(f"--{key}", type=kind, nargs="+", default=factory(), help=_LIST_HELP[key])
        commands.add_subcommand(name, command, help=(options.__doc__ or "").splitlines()[0])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, as the program ``atmnet`` does.

    Args:
        arguments: The command and its options, such as ``["check-data", "--data.root", "IMAGES"]``. Default: those
            of the process.

    Returns:
        The exit status: 0, or 2 for errors that the user can correct, each one line on stderr, or 1 for others.

    Examples:
        >>> from atmnet_cli.command import main
        >>> main(["models", "--img_size", "3"])  # says what is wrong on stderr
        2
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if set(arguments) == {"--version", "--verbose"}:
        arguments = ["env"]
    record_command(arguments)
    is_training = arguments[0] in _RECIPES_OF
    closed = open_closed_streams()
    if "stdout" in closed and not is_training:
        return _fail(f"stdout is closed, where `atmnet {arguments[0]}` prints its results; /dev/null would take them")
    if "stderr" in closed and is_training:
        sys.stderr = sys.stdout
    with durable_streams(stdout_may_fail=is_training), signals_as_exceptions():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    try:
        try:
            name, options = parse(arguments)
            if name not in _ABOUT_THE_MACHINE:
                let_waiting_threads_sleep()
            import_own_modules()
            module = importlib.import_module(f"atmnet.cli.{name.replace('-', '_')}")
            status: int = module.run(options)
            return status
        finally:
            sys.stdout.flush()
    except (UserError, ArgumentError) as error:
        return _fail(" ".join(str(error).split()))
    except BrokenPipeError:
        return 141
    except OSError as error:
        if error.filename is None and error.strerror is None:  # raised by other code than the system's
            return _fail_unexpectedly(error, failure_text(error))
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror}")
    except KeyboardInterrupt as stop:
        print_error("")
        print_error(f"atmnet: {str(stop) or 'interrupted'}")
        return 128 + stop.number if isinstance(stop, Terminated) else 130
    except Failure as failure:
        return _fail_unexpectedly(failure.__cause__ or failure, str(failure))
    except Exception as error:
        return _fail_unexpectedly(error, failure_text(error))


def parse(arguments: list[str]) -> tuple[str, Any]:
    """The command that arguments name, and its options.

    Raises:
        UserError: For an unknown command or option, or a value that is not one of the option's.
    """
    if any(argument.startswith("shtab-") for argument in arguments) and find_spec("shtab") is None:
        raise UserError(f"print_completion: the package shtab is not installed; {install('completion')}")
    parser = build_parser("--help-all" in arguments, arguments[0] if arguments[0] in _COMMANDS else "")
    arguments = ["--help" if argument == "--help-all" else argument for argument in arguments]
    typed = _with_pairs(_with_recipes(arguments))
    arguments = [_with_underscores(argument) for argument in typed]
    try:
        parsed = parser.parse_args(arguments)
    except ArgumentError as error:
        as_typed = {_option(new): _option(old) for new, old in zip(arguments, typed, strict=True)}
        raise UserError(explain(str(error), arguments[0], _COMMANDS.get(arguments[0]), as_typed)) from error
    name = parsed.subcommand
    values = parser.instantiate(parsed)[name]
    if name in _RECIPES_OF:
        del values["config"]
        if values.auto_batch and "batch_size" in map(_option, arguments):
            raise UserError("auto_batch: it chooses the batch size; leave out batch_size, or auto_batch")
    return name, _COMMANDS[name](**vars(values))


def _with_recipes(arguments: list[str]) -> list[str]:
    """Replace NAME in ``--config NAME`` by the path of the recipe of that name, unless there is a file NAME."""
    split: list[str] = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        split += [key, value] if key == "--config" and value else [argument]
    for i in range(1, len(split)):
        if split[i - 1] == "--config" and not Path(split[i]).is_file():
            known = recipes_of(arguments[0])
            if split[i] not in known:
                near = difflib.get_close_matches(split[i], known, n=1)
                raise UserError(
                    f"config: {split[i]}: no such file or recipe; "
                    + (f"do you mean {near[0]}?" if near else f"recipes are {', '.join(known)}")
                )
            split[i] = str(RECIPES / f"{split[i]}.yaml")
    return split


def _with_pairs(arguments: list[str]) -> list[str]:
    """Replace ``--data.range LOW HIGH`` by ``--data.range=[LOW,HIGH]``, the form of the parser."""
    joined: list[str] = []
    for argument in arguments:
        if len(joined) > 1 and joined[-2] == _PAIR and all(map(_NUMBER.fullmatch, (joined[-1], argument))):
            joined[-2:] = [f"{_PAIR}=[{joined[-1]},{argument}]"]
        else:
            joined.append(argument)
    return joined


def _option(argument: str) -> str:
    """The name of an option as typed: 'data.root' for '--data.root=FOLDER'."""
    return argument.removeprefix("--").partition("=")[0]


def _with_underscores(argument: str) -> str:
    """'--batch_size=8' for '--batch-size=8'; arguments that are not options are unchanged."""
    name, equals, value = argument.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument


def _fail(message: str, status: int = 2) -> int:
    print_error(f"atmnet: error: {message}", ERROR)
    return status


def _fail_unexpectedly(error: BaseException, message: str) -> int:
    """Print the traceback, for a report of the fault, and then the message."""
    with contextlib.suppress(MemoryError):
        print_error("".join(traceback.format_exception(error)).rstrip())
    return _fail(message, status=1)
