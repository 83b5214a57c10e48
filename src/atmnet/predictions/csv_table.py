"""Predictions as a CSV table: a row for each class of a classifier, object of a detector or region of a segmenter."""

import csv
import io
from collections.abc import Iterator
from typing import Any

#: The lists in a record of an answer, of which each item is a row.
_LISTS = ("predictions", "objects", "regions")
_CORNERS = ("x0", "y0", "x1", "y1")


class CsvTable:
    """Makes the lines of one table; the first ones begin with the header.

    The columns are ``image``, then those of the first row, and ``error``. An image without a row, such as one without
    objects, has a row with empty cells.
    """

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []

    def lines(self, image: str, record: dict[str, Any]) -> Iterator[str]:
        """The lines of an image; none as long as no image has shown which columns there are.

        Args:
            image: The image's name.
            record: See :class:`~atmnet.predictions.answers.Answer`; or ``error``.
        """
        items = next((record[name] for name in _LISTS if name in record), None)
        rows = [{"image": image, **_flat(item)} for item in items or [{}]]
        if "error" in record:
            rows = [{"image": image, "error": record["error"]}]
        self._waiting += rows
        if not self._columns:
            if not items:
                return
            self._columns = [*rows[0], "error"]
            yield _line(self._columns)
        yield from self.rest()

    def rest(self) -> Iterator[str]:
        """Lines that still wait for columns, if no image had any."""
        columns = self._columns or ["image", "error"]
        if self._waiting and not self._columns:
            yield _line(columns)
        for row in self._waiting:
            yield _line([row.get(column, "") for column in columns])
        self._waiting = []


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    flat = dict(item)
    if "box" in flat:
        flat |= dict(zip(_CORNERS, flat.pop("box"), strict=True))
    return flat


def _line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
