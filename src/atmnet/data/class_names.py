"""Names of classes: read from text files, and compared as people read them.

Unicode writes one name in several ways: on Linux and Windows, an accent is usually part of its letter, on macOS often a
character of its own. Such names are the same class.
"""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from atmnet_cli.errors import UserError


def normal_form(name: str) -> str:
    """A name in the form in which names are compared: accents are parts of their letters."""
    return unicodedata.normalize("NFC", name)


def repeated_forms(names: Iterable[str]) -> tuple[str, str] | None:
    """Two of the names that have the same normal form; None if all differ."""
    known: dict[str, str] = {}
    for name in names:
        if (form := normal_form(name)) in known:
            return known[form], name
        known[form] = name
    return None


def class_indices(names: Sequence[str], classes: Sequence[str], where: str) -> list[int]:
    """The index of each of a split's class names in ``classes``.

    Raises:
        UserError: If some are not among them; ``where`` names the split.
    """
    indices = {normal_form(name): index for index, name in enumerate(classes)}
    unknown = sorted(name for name in names if normal_form(name) not in indices)
    if unknown:
        raise UserError(
            f"{where}: {len(unknown)} of its classes are not among the training classes: {', '.join(unknown[:5])}"
            + nearest(unknown[0], classes)
        )
    return [indices[normal_form(name)] for name in names]


def nearest(name: str, names: Iterable[str]) -> str:
    """A question for errors, such as " (is 'tow' 'two'?)"; empty if no name is near.

    Characters that look alike or are invisible are written as escapes.
    """
    near = difflib.get_close_matches(name, names, n=1)
    return f" (is {name!a} {near[0]!a}?)" if near else ""


def read_lines(path: Path, option: str = "") -> list[str]:
    """The lines of a text file in UTF-8, without a byte order mark, white space at both ends, and empty lines.

    Args:
        path: The file, with line endings of any system.
        option: The option that names the file, for errors.

    Raises:
        UserError: If the file cannot be read, or is no such file.
    """
    where = f"{option}: {path}" if option else str(path)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not a text file in UTF-8") from error
    return [line for line in lines if line]


def read_class_file(path: str) -> list[str]:
    """Class names from a text file, one per line.

    Raises:
        UserError: If the file is missing or empty, or repeats a name.
    """
    names = [normal_form(line) for line in read_lines(Path(path), "data.classes")]
    if not names or len(set(names)) < len(names):
        raise UserError(f"data.classes: {path}: expected one class name per line, each once; got {len(names)} lines")
    return names
