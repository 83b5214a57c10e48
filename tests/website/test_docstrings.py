"""What is public says its arguments, shapes, defaults, results and errors, and shows an example."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

griffe = pytest.importorskip("griffe")
public = pytest.importorskip("website.public")

MODULES = public.load(str(Path(__file__).parents[2] / "src"))
NAMES = [(module, name) for module in public.public_modules(MODULES) for name in public.public_names(module)]
IDS = [public.identifier(module, name) for module, name in NAMES]
#: Arguments of layers that are PyTorch's own and mean the same everywhere.
TORCH = {"device", "dtype"}
#: A summary that says what is returned, and not what is done.
_NOUN = re.compile(r"(The|A|An|Whether|Names|Files|Parameters) ")


def _sections(thing) -> dict:
    return {section.kind.value: section.value for section in thing.docstring.parsed} if thing.docstring else {}


def _text(thing) -> str:
    return thing.docstring.value if thing.docstring else ""


def _bases(thing) -> set[str]:
    return {str(base).rpartition(".")[2] for base in thing.bases} | {
        str(base).rpartition(".")[2] for each in thing.mro() for base in each.bases
    }


def _is_record(thing) -> bool:
    """Whether a class only carries values that functions return."""
    return "dataclass" in thing.labels or bool({"NamedTuple", "Protocol"} & _bases(thing))


def _is_error(thing) -> bool:
    return any(base.endswith(("Error", "Exception")) for base in _bases(thing))


def _fields(thing) -> list[str]:
    return [name for name, each in thing.members.items() if "instance-attribute" in each.labels and name[0] != "_"]


def problems(thing) -> list[str]:
    """What the docstring of a function or class lacks."""
    if not thing.docstring:
        return ["has no docstring"]
    if thing.is_attribute:
        return []
    sections, lines = _sections(thing), []
    arguments = {each.name: each.description for each in sections.get("parameters", [])}
    attributes = {each.name for each in sections.get("attributes", [])}
    record = thing.is_class and _is_record(thing)
    if record:
        lines += [f"does not explain the field {name}" for name in _fields(thing) if name not in attributes]
    elif not (thing.is_class and _is_error(thing) and not thing.parameters):
        for each in thing.parameters:
            name = each.name
            if name in ("self", "cls", "_", *TORCH) or each.kind.value.startswith("variadic") or name.startswith("_"):
                continue
            if name not in arguments:
                lines.append(f"does not explain the argument {name}")
            elif (
                each.default is not None
                and str(each.default) == "None"
                and not re.search(r"[Dd]efault|None|if ", arguments[name])
            ):
                lines.append(f"does not say what the default None of {name} means")
        names = {each.name.lstrip("*") for each in thing.parameters}
        lines += [f"explains {name}, which is no argument" for name in arguments if name.lstrip("*") not in names]
    if thing.is_function and str(thing.returns) != "None" and "returns" not in sections:
        lines += [] if _NOUN.match(_text(thing)) else ["does not say what it returns"]
    if thing.is_class and "Module" in _bases(thing) and "Shape:" not in _text(thing):
        lines.append("does not give its shapes")
    if not record and not (thing.is_class and _is_error(thing)) and "examples" not in sections:
        lines.append("shows no example")
    said = {str(each.annotation) for each in sections.get("raises", [])}
    lines += [f"does not say that it raises {name}" for name in sorted(_raised(thing) - said)]
    return lines


def _raised(thing) -> set[str]:
    """The errors that a function, or the constructor of a class, raises itself."""
    function = thing if thing.is_function else thing.members.get("__init__")
    if function is None or not getattr(function, "is_function", False):
        return set()
    tree = ast.parse(textwrap.dedent(function.source))
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {ast.unparse(each.func) for each in raised}


@pytest.mark.parametrize(("module", "name"), NAMES, ids=IDS)
def test_it_is_explained(module, name):
    thing = public.resolve(module, name)
    lines = problems(thing)
    if thing.is_class:
        for method in thing.members.values():
            is_public = method.is_function and (not method.name.startswith("_") or method.name == "__call__")
            if is_public and method.name != "forward" and not method.docstring:
                lines.append(f"has no docstring for {method.name}")
    assert not lines, "; ".join(lines)


def test_what_lacks_is_noticed():
    source = '''
    from torch import nn
    def f(x: int, size: int | None = None) -> int:
        """Do it.

        Args:
            size: How large.
            other: What was there once.
        """
        if x: raise ValueError("x")
        return 3
    class Layer(nn.Module):
        """A layer.

        Args:
            dim: Channels.

        Examples:
            >>> Layer(3)
        """
        def __init__(self, dim, device=None): ...
    '''
    with griffe.temporary_visited_module(textwrap.dedent(source), docstring_parser="google") as module:
        assert problems(module["f"]) == [
            "does not explain the argument x",
            "does not say what the default None of size means",
            "explains other, which is no argument",
            "does not say what it returns",
            "shows no example",
            "does not say that it raises ValueError",
        ]
        assert problems(module["Layer"]) == ["does not give its shapes"]
