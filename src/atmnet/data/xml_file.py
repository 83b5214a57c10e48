"""XML that anybody may have written. Entities, which could fill the memory or read other files, are refused."""

from pathlib import Path
from xml.etree import ElementTree

from atmnet_cli.errors import UserError, first_line


def read_xml(path: Path, max_bytes: int) -> ElementTree.Element:
    """The root element of an XML file in UTF-8.

    Raises:
        UserError: If the file is missing, too large, not valid XML in UTF-8, or has a document type or entities.
    """
    try:
        if (size := path.stat().st_size) > max_bytes:
            raise UserError(f"{path}: got {size:,} bytes, expected at most {max_bytes:,}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UserError(f"{path}: it has a document type or entities, which are not read; expected plain elements")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid XML: {first_line(error)}") from error


def text_of(element: ElementTree.Element, path: str, default: str = "") -> str:
    """The text of a child element without white space at both ends; ``default`` if it is missing."""
    return (element.findtext(path) or default).strip()


def numbers_of(element: ElementTree.Element, names: tuple[str, ...], where: str) -> list[float]:
    """Numbers in child elements.

    Raises:
        UserError: If one is missing or not a number.
    """
    values = []
    for name in names:
        text = text_of(element, name)
        try:
            values.append(float(text))
        except ValueError as error:
            raise UserError(f"{where}: {name}: got {text[:40]!r}, expected a number") from error
    return values
