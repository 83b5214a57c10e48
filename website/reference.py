"""Pages of the Python reference: one for each module, in which mkdocstrings explains every name."""

import griffe

from website.public import FOR_EXTENSIONS, PUBLIC, exported, identifier, load, public_names

_NOTE = """!!! note
    These names are for those who add heads, data sources and formats ([Architecture](../architecture.md)). They may
    change in any version.

"""


def pages() -> dict[str, str]:
    """Markdown of the reference's pages, by their paths in the site."""
    modules = load()
    made = {}
    rows = []
    for name in [*PUBLIC, *(module for module in FOR_EXTENSIONS if module not in PUBLIC)]:
        module = modules[name]
        public = public_names(module) if name in PUBLIC else []
        extension = [each for each in exported(module) if each not in public] if name in FOR_EXTENSIONS else []
        made[f"reference/{name}.md"] = _page(module, public, extension)
        rows.append(f"| [`{name}`]({name}.md) | {_summary(module)} |")
    made["reference/index.md"] = _INDEX + "\n".join(rows) + "\n"
    return made


_INDEX = """# Reference

The commands, with all their options: [Commands](commands.md). The recipes, with what they set: [Recipes](recipes.md).

The names on these pages are the public interface: they keep their meaning within a major version, and the
[changelog](../CHANGELOG.md) names what changes. Names that are not here may change at any time.

| module | content |
| --- | --- |
"""


def _page(module: griffe.Module, public: list[str], extension: list[str]) -> str:
    summary = module.docstring.value.strip() if module.docstring else ""
    text = f"# {module.path}\n\n{summary}\n\n"
    text += "".join(_entry(module, name) for name in public)
    if extension:
        text += "## For extensions\n\n" * bool(public) + _NOTE
        text += "".join(_entry(module, name) for name in extension)
    return text


def _entry(module: griffe.Module, name: str) -> str:
    return f"::: {identifier(module, name)}\n\n"


def _summary(module: griffe.Module) -> str:
    return module.docstring.value.strip().splitlines()[0] if module.docstring else ""
