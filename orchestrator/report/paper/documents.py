"""Numbers with their place in the documents of ``mer score`` and ``mer compare``, and tables made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """What a table or a sentence shows.

    Attributes
    ----------
    text
        As it is read.
    value
        The number behind it, or the two ends of an interval; None for words.
    of
        Where the number stands in the documents, as ``score/0/rows/3/uf1``; empty if it stands in none.
    bold
        Whether it is set off.
    """

    text: str
    value: float | tuple[float, float] | None = None
    of: str = ""
    bold: bool = False


Prose = Sequence[str | Cell]


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it holds numbers, and whether what it shows is an oracle's."""

    title: str
    numeric: bool = True
    oracle: bool = False


@dataclass(frozen=True)
class Row:
    """Cells, and what kind of row it is: ``model``, ``part`` (of the model above), or ``baseline``."""

    cells: Sequence[Cell]
    kind: str = "model"


@dataclass(frozen=True)
class Table:
    """A table of the report; `name` is that of its files, and `note` stands below it."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""


class Documents:
    """The documents behind the report, by name; the only place that its numbers come from.

    Parameters
    ----------
    content
        Nested mappings and lists.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def at(self, path: str) -> Any:
        """What stands at a path, as ``score/0/rows/3/uf1``."""
        found: Any = self._content
        for step in path.split("/"):
            found = found[int(step)] if isinstance(found, list | tuple) else found[step]
        return found

    def number(self, path: str, digits: int = 4, *, signed: bool = False, bold: bool = False) -> Cell:
        """A number from the documents; a dash where there is none."""
        value = self.at(path)
        if value is None:
            return Cell("–")
        return Cell(shown(value, digits, signed=signed), value, path, bold)

    def ends(self, path: str, digits: int = 3) -> Cell:
        """Both ends of an interval from the documents; a dash where there is none."""
        found = self.at(path)
        if found is None:
            return Cell("–")
        low, high = found
        if low < 0:
            return Cell(f"{shown(low, digits, signed=True)} to {shown(high, digits, signed=True)}", (low, high), path)
        return Cell(f"{shown(low, digits)}–{shown(high, digits)}", (low, high), path)


def shown(value: float, digits: int = 4, *, signed: bool = False) -> str:
    """A number as the report writes it, with a real minus sign; whole numbers with thousands apart."""
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    text = text if float(text) else f"{0:.{digits}f}"  # what rounds to zero has no sign
    return text.replace("-", "−")


def plain(value: float, digits: int = 4) -> Cell:
    """A number that the report counts by itself."""
    return Cell(shown(value, digits), value)


def told(prose: Prose) -> str:
    """Prose as plain text."""
    return "".join(part if isinstance(part, str) else part.text for part in prose)
