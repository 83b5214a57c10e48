"""Pages of the commands and of the recipes, made from the parser that also writes ``--help-all``."""

import argparse
import re
from typing import Any

import yaml

from atmnet_cli.command import RECIPES, build_parser, recipes_of
from atmnet_cli.explain import describe

#: The beginning of a line of a recipe's comment that is not the continuation of the one before.
_FACT = re.compile(r"[A-Z]\w+: ")


def pages() -> dict[str, str]:
    """Markdown of the pages of commands and recipes, by their paths in the site."""
    parsers = _parsers()
    index = "# Commands\n\n`atmnet COMMAND --help` shows the most used options, `--help-all` all of them. Hyphens and\n"
    index += "underscores in names of options are the same. `atmnet --version` prints versions.\n\n"
    index += "| command | what it does |\n| --- | --- |\n"
    made = {}
    for name, parser in parsers.items():
        summary = (parser.description or "").splitlines()[0]
        index += f"| [`atmnet {name}`](commands/{name}.md) | {_plain(summary)} |\n"
        made[f"reference/commands/{name}.md"] = _command(name, parser)
    return {"reference/commands.md": index, **made, "reference/recipes.md": _recipes()}


def _parsers() -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands."""
    actions = build_parser(full_help=True)._actions
    found = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    return dict(found._name_parser_map)


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    """The page of a command: its arguments, its own options, and a section for each group such as ``--data.*``."""
    sections: dict[str, list[str]] = {"Arguments": [], "Options": []}
    for group in parser._action_groups:
        for action in filter(_is_option, group._group_actions):
            prefix, dot, _ = action.dest.partition(".")
            title = f"`--{prefix}.*`" if dot else "Options" if action.option_strings else "Arguments"
            sections.setdefault(title, [] if not dot else [f"{group.title}.\n\n"]).append(_row(action))
    text = f"# atmnet {name}\n\n{parser.description or ''}\n\n```\n{parser.usage}\n```\n"
    for title, lines in sections.items():
        if lines:
            text += f"\n## {title}\n\n" + "".join(lines)
    return text


def _is_option(action: argparse.Action) -> bool:
    """Whether an action is an option of the command's dataclass or of recipes, not one that the parser adds itself."""
    return hasattr(action, "_typehint") or action.dest == "config"


def _row(action: argparse.Action) -> str:
    """An item of a definition list."""
    name = action.option_strings[0] if action.option_strings else action.dest.upper()
    kind = describe(action._typehint) if hasattr(action, "_typehint") else "a file or name"
    return f"`{name}` {_plain(kind)}{_default(action)}\n:   {_plain(action.help or '')}\n\n"


def _default(action: argparse.Action) -> str:
    value: Any = action.default
    if action.required:
        return ", required"
    if value is None or value == "" or value is argparse.SUPPRESS:
        return ""
    return f", default `{value}`"


def _plain(text: str) -> str:
    """Text in which Markdown finds no markup, on one line."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _recipes() -> str:
    text = (
        "# Recipes\n\n`--config NAME` of `atmnet train` or `atmnet compare` takes these; options on the command line\n"
    )
    text += "override what a recipe sets. Options that a recipe does not set have the command's defaults.\n"
    for name in recipes_of("compare"):
        source = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
        lines = [line.removeprefix("#").strip() for line in source.splitlines() if line.startswith("#")]
        text += f"\n## {name}\n\n{_plain(lines[0])}"
        text += "".join(f"\n\n{_plain(line)}" if _FACT.match(line) else f" {_plain(line)}" for line in lines[1:])
        text += "\n\n| option | value |\n| --- | --- |\n"
        for option, value in _flat(yaml.safe_load(source)):
            text += f"| `--{option}` | `{value}` |\n"
    return text


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        group = isinstance(value, dict) and not re.search(r"kwargs$|class_weights$", name)
        pairs += _flat(value, f"{prefix}{name}.") if group else [(prefix + name, value)]
    return pairs
