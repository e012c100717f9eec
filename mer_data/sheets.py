"""Tabular sheets (.xlsx, .xls, .csv) as rows of text, with columns found by what their headers say.

Official annotation sheets have blank spacer columns, text above the header, empty extra worksheets, and
numbers stored as text or as floating point. All of that is dealt with here; an importer sees names and texts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from mer_data.files import read
from mer_data.problems import BadInput, Problem

SHEET_SUFFIXES = frozenset({".csv", ".xls", ".xlsx"})
Columns = Mapping[str, Sequence[str]]
_SEPARATORS = re.compile(r"[\s_]+")
_REMEDY = "open it in a spreadsheet program and save it again as .xlsx, or as .csv in UTF-8"


@dataclass(frozen=True)
class Row:
    """One row of a sheet.

    Attributes
    ----------
    place
        File, and worksheet if the file has several, for messages.
    number
        Row number as a spreadsheet program shows it, from 1.
    cells
        Our name of each column to the cell's text, stripped; "" if empty.
    headers
        Our name of each column to the header as it is written in the sheet.
    """

    place: str
    number: int
    cells: Mapping[str, str]
    headers: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def at(self, column: str = "") -> str:
        """Say where this row, or one of its cells, is: ``labels.xlsx, row 12, column ApexFrame``."""
        cell = f", column {self.headers.get(column, column)}" if column else ""
        return f"{self.place}, row {self.number}{cell}"


@dataclass(frozen=True)
class Sheet:
    """A table found in a file: the file, and the rows below the header that are not empty."""

    path: Path
    rows: tuple[Row, ...]


def read_sheet(path: Path, required: Columns, optional: Columns | None = None) -> Sheet:
    """Read the first worksheet that has the required columns.

    The header is the first row with all the required columns. Rows above it, empty rows, and columns that
    were not asked for are ignored.

    Parameters
    ----------
    path
        An .xlsx, .xls or .csv file (UTF-8, separated by commas).
    required, optional
        Our name of a column to the headers it may have, the preferred one first. Headers are compared without
        regard to case, spaces and underscores. Rows have "" in an optional column that the sheet lacks.

    Raises
    ------
    BadInput
        If the file is missing, empty or not a sheet, or no worksheet has the required columns, or a column is
        there twice.
    """
    worksheets = _worksheets(path)
    nearest: list[str] = [headers[0] for headers in required.values()]
    for name, table in worksheets.items():
        place = f"{path}, sheet {name}" if len(worksheets) > 1 else str(path)
        for index, cells in enumerate(table):
            found, missing = _find_columns(cells, required)
            if not missing:
                found |= _find_columns(cells, optional or {})[0]
                _refuse_twins(cells, found.values(), f"{place}, row {index + 1}")
                return Sheet(path, tuple(_rows(table, index, found, optional or {}, place)))
            nearest = min(nearest, missing, key=len)
    if not any(map(any, (row for table in worksheets.values() for row in table))):
        raise BadInput(Problem(str(path), "holds no rows", "restore the file from the original"))
    wanted = ", ".join(headers[0] for headers in required.values())
    remedy = f"the nearest row lacks {', '.join(nearest)}"
    raise BadInput(Problem(str(path), f"no row has the columns {wanted}", remedy))


def _plain(header: str) -> str:
    return _SEPARATORS.sub("", header).casefold()


def _find_columns(cells: Sequence[str], columns: Columns) -> tuple[dict[str, int], list[str]]:
    """Find the position of each column in a row of headers, and the columns that are not there."""
    positions: dict[str, int] = {}
    for position, cell in enumerate(cells):
        positions.setdefault(_plain(cell), position)
    found, missing = {}, []
    for name, headers in columns.items():
        here = [positions[plain] for plain in map(_plain, headers) if plain in positions]
        if here:
            found[name] = here[0]
        else:
            missing.append(headers[0])
    return found, missing


def _refuse_twins(cells: Sequence[str], used: Iterable[int], place: str) -> None:
    plain = [_plain(cell) for cell in cells]
    twins = [cells[position] for position in used if plain.count(plain[position]) > 1]
    if twins:
        raise BadInput(
            Problem(place, f"more than one column is called {', '.join(twins)}", "remove or rename the others")
        )


def _rows(
    table: Sequence[Sequence[str]], header: int, found: Mapping[str, int], optional: Columns, place: str
) -> Iterable[Row]:
    headers = {name: table[header][position] for name, position in found.items()}
    absent = {name: "" for name in optional if name not in found}
    for index, cells in enumerate(table[header + 1 :], start=header + 1):
        if any(cells):
            texts = {name: cells[i] if i < len(cells) else "" for name, i in found.items()}
            yield Row(place, index + 1, texts | absent, headers)


def _worksheets(path: Path) -> dict[str, list[list[str]]]:
    """Read every worksheet as rows of stripped texts; row 0 of the list is row 1 of the sheet."""
    if path.suffix.lower() not in SHEET_SUFFIXES:
        raise BadInput(Problem(str(path), "is not a sheet", f"expected {', '.join(sorted(SHEET_SUFFIXES))}"))
    data: bytes = read(path, path.read_bytes, _REMEDY)
    if not data:
        raise BadInput(Problem(str(path), "is an empty file", "restore it from the original"))
    try:
        return {"": _csv(data)} if path.suffix.lower() == ".csv" else _workbook(data)
    except (CalamineError, csv.Error, UnicodeDecodeError) as error:
        raise BadInput(Problem(str(path), f"cannot be read as a sheet: {error}", _REMEDY)) from error


def _csv(data: bytes) -> list[list[str]]:
    text = data.decode("utf-8-sig")
    return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]


def _workbook(data: bytes) -> dict[str, list[list[str]]]:
    # From the bytes, not by the suffix: an .xls that is an .xlsx inside is common and harmless.
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
    worksheets = {}
    for name in workbook.sheet_names:
        table = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
        worksheets[name] = [[_text(cell) for cell in row] for row in table]
    return worksheets


def _text(cell: object) -> str:
    # Spreadsheets store every number as floating point; 1.0 was typed as 1.
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
