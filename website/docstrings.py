"""An extension of griffe: docstrings, which are plain text with roles, become Markdown for the site."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")
#: A word with an asterisk behind it, such as the L* of a shape, which Markdown would take as emphasis.
_ASTERISK = re.compile(r"(?<=[\w)])\*(?!\*)")
_CODE = re.compile(r"(``.*?``|`[^`]*`)", re.DOTALL)


class PlainText(griffe.Extension):
    """Replaces roles by code, and keeps asterisks as they are."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that griffe has read."""
        if obj.docstring:
            obj.docstring.value = "\n".join(map(_as_markdown, obj.docstring.value.split("\n")))


def _as_markdown(line: str) -> str:
    if line.lstrip().startswith((">>>", "...")):
        return line
    parts = _CODE.split(_ROLE.sub(r"``\1``", line))
    return "".join(part if part.startswith("`") else _ASTERISK.sub(r"\\*", part) for part in parts)
