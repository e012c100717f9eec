"""Tabular sheets (.xlsx, .xls, .csv) as rows of text, with columns found by what their headers say.

Official annotation sheets have blank spacer columns, text above the header, empty extra worksheets, and
numbers stored as text or as floating point. All of that is dealt with here; an importer sees names and texts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from mer_data import sizes
from mer_data.files import read, told
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all

SHEET_SUFFIXES = frozenset({".csv", ".xls", ".xlsx"})
Columns = Mapping[str, Sequence[str]]
Beside = Mapping[str, tuple[str, int]]
# What people and programs write into a cell that has no value, in lower case.
NOTHING = frozenset({"/", "\\", "-", "null", "nan", "n/a", "#n/a"})
_LONGEST = 1 + max(map(len, NOTHING))
_WORDS = frozenset({"subject", "name", "emotion"})  # columns in which such a text is a mistake, and is shown as it is
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
        Our name of each column to the cell's text, stripped; "" if empty, or if it says that there is nothing
        (:data:`NOTHING`), unless the column holds words.
    headers
        Our name of each column to the header as it is written in the sheet.
    corrected
        Our names of the columns whose cells were corrected after reading (:mod:`mer_data.corrections`).
    """

    place: str
    number: int
    cells: Mapping[str, str]
    headers: Mapping[str, str]
    corrected: frozenset[str] = frozenset()

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def at(self, column: str = "") -> str:
        """Say where this row, or one of its cells, is: ``labels.xlsx, row 12, column ApexFrame``."""
        cell = f", column {self.headers.get(column, column)}" if column else ""
        return f"{self.place}, row {self.number}{cell}"


@dataclass(frozen=True)
class Sheet:
    """A table found in a file.

    Attributes
    ----------
    path
        The file.
    rows
        The rows below the header that are not empty, at least one.
    others
        What stands in the columns that were not asked for: header to the number of a row to its text.
    """

    path: Path
    rows: tuple[Row, ...]
    others: Mapping[str, Mapping[int, str]] = field(default_factory=dict)


def read_sheet(
    path: Path,
    required: Columns,
    optional: Columns | None = None,
    right_of: Beside | None = None,
    worksheet: str | None = None,
) -> Sheet:
    """Read the worksheet that has the required columns.

    The header is the first row with all the required columns. Rows above it, columns that were not asked for, and
    rows that have nothing in those that were are ignored. Of several worksheets, that with the most of the columns is
    read; if that does not decide, and they hold different things, a person has to.

    Parameters
    ----------
    path
        An .xlsx, .xls or .csv file (UTF-8, separated by commas, semicolons or tabs).
    required, optional
        Our name of a column to the headers it may have, the preferred one first. Headers are compared without
        regard to case, spaces and underscores. Rows have "" in an optional column that the sheet lacks.
    right_of
        Our name of a column whose header is not known, to the column that it stands right of, and by how many. Rows
        have "" in it if that is a column that was asked for by its header.
    worksheet
        The name of the only worksheet to look at.

    Raises
    ------
    BadInput
        If the file is missing, empty or not a sheet, or no worksheet has the required columns, or several have, or a
        column is there twice, or rows hold NUL characters or more cells than the header, or no rows are below it.
    """
    columns = {**required, **(optional or {})}
    tables = [table for table in read_bare(path) if worksheet in (None, table.name)]
    table, first, header = _find_header(path, tables, required, columns)
    found = _find_columns(header, columns)
    beside = {name: found[of] + steps for name, (of, steps) in (right_of or {}).items() if of in found}
    beside = {name: at for name, at in beside.items() if at < len(header) and at not in found.values()}
    told = ["" if position in beside.values() else cell for position, cell in enumerate(header)]
    raise_all(_header_problems(path, f"{table.place}, row {first}", told, found, required))
    found |= beside
    below = {number: cells for number, cells in table.rows if number > first}
    headers = {name: header[position] or _letter(position) for name, position in found.items()}
    rows = _named(table.place, below, found, headers, [*columns, *(right_of or ())])
    if not rows:
        what = f"has no rows below its header in row {first}"
        raise BadInput(Problem(table.place, what, "restore it from the original"))
    # A comma too many moves the cells behind it to other columns, so they are not worth reading.
    raise_all(
        Problem(row.at(), f"has {len(below[row.number])} cells, the header has {len(header)}", "correct it")
        for row in rows
        if any(below[row.number][len(header) :])
    )
    others = {cell or _letter(at): at for at, cell in enumerate(header) if at not in found.values()}
    return Sheet(path, rows, {name: _filled(below, at) for name, at in others.items() if _filled(below, at)})


@dataclass(frozen=True)
class BareSheet:
    """A worksheet as it is: its name, its place for messages, and its rows that are not empty.

    A row is its number, from 1, and its texts.
    """

    name: str
    place: str
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def columns(self, names: Sequence[str]) -> tuple[Row, ...]:
        """Name the columns of a worksheet without a header, from the left.

        Cells that a short row lacks are "". Further cells, and rows that have nothing in these columns, are ignored. In
        messages a column is called by its letter, as a spreadsheet program shows it.
        """
        positions = {name: position for position, name in enumerate(names)}
        letters = {name: _letter(position) for name, position in positions.items()}
        return _named(self.place, dict(self.rows), positions, letters, names)


def read_bare(path: Path) -> tuple[BareSheet, ...]:
    """Read all worksheets of a file, whether they have a header or not.

    Parameters
    ----------
    path
        As for :func:`read_sheet`.

    Raises
    ------
    BadInput
        If the file is missing, empty or not a sheet, or rows hold NUL characters.
    """
    sheets = []
    for place, table in _worksheets(path).items():
        rows = tuple((number, tuple(cells)) for number, cells in enumerate(table, start=1) if any(cells))
        sheets.append(BareSheet(place.rpartition(", sheet ")[2], place, rows))
    raise_all(
        Problem(f"{sheet.place}, row {number}", "holds NUL characters", "remove them")
        for sheet in sheets
        for number, cells in sheet.rows
        if any("\0" in cell for cell in cells)
    )
    return tuple(sheets)


def has_headers(table: BareSheet, headers: Sequence[str]) -> bool:
    """Whether a row of a worksheet has all these headers, whatever their case, spaces and underscores."""
    wanted = {*map(_plain, headers)}
    return any(wanted <= {*map(_plain, cells)} for _, cells in table.rows)


def _find_header(
    path: Path, tables: Sequence[BareSheet], required: Columns, columns: Columns
) -> tuple[BareSheet, int, tuple[str, ...]]:
    """Find the worksheet to read, and the number and the cells of its header; else the nearest to a header."""
    best = []
    for table in tables:
        rows = [(len(_find_columns(cells, required)), -number, cells) for number, cells in table.rows]
        if rows:
            count, number, header = max(rows, key=lambda row: row[:2])
            best.append((count, len(_find_columns(header, columns)), table, -number, header))
    if not best:
        raise BadInput(Problem(str(path), "holds no rows", "restore the file from the original"))
    most = max(count for count, _, _, _, _ in best)
    nearest = [found for found in best if found[0] == most]
    if most == len(required):
        filled = [found for found in nearest if any(number > found[3] for number, _ in found[2].rows)]
        nearest = filled or nearest
        nearest = [found for found in nearest if found[1] == max(found[1] for found in nearest)]
        contents = {tuple(cells for number, cells in table.rows if number >= at) for _, _, table, at, _ in nearest}
        if len(contents) > 1:
            names = ", ".join(table.name for _, _, table, _, _ in nearest)
            what = f"{len(nearest)} worksheets have the right columns: {names}"
            raise BadInput(Problem(str(path), what, "save the one to use as a file of its own, and name that file"))
    return nearest[0][2:]


def _named(
    place: str,
    rows: Mapping[int, Sequence[str]],
    positions: Mapping[str, int],
    headers: Mapping[str, str],
    names: Iterable[str],
) -> tuple[Row, ...]:
    """Name the cells of rows by their columns' positions; rows that have nothing in these columns are passed over.

    Cells of `names` that have no position, and of those that a row is too short for, are "".
    """
    empty = dict.fromkeys(names, "")
    texts = {
        number: {name: _value(name, cells[at]) for name, at in positions.items() if at < len(cells)}
        for number, cells in rows.items()
    }
    return tuple(Row(place, number, empty | cells, headers) for number, cells in texts.items() if any(cells.values()))


def _value(column: str, text: str) -> str:
    return "" if len(text) < _LONGEST and text.casefold() in NOTHING and column not in _WORDS else text


def _filled(rows: Mapping[int, Sequence[str]], position: int) -> dict[int, str]:
    """The texts of a column by the number of the row, without the empty ones."""
    return {number: cells[position] for number, cells in rows.items() if position < len(cells) and cells[position]}


def _letter(position: int) -> str:
    """The letter of one of the first 26 columns, as a spreadsheet program shows it."""
    return chr(ord("A") + position)


def _plain(header: str) -> str:
    return _SEPARATORS.sub("", header).casefold()


def _find_columns(cells: Sequence[str], columns: Columns) -> dict[str, int]:
    """Find the position of each column in a row of headers; columns that are not there are left out."""
    positions: dict[str, int] = {}
    for position, cell in enumerate(cells):
        positions.setdefault(_plain(cell), position)
    found: dict[str, int] = {}
    for name, headers in columns.items():
        here = [positions[plain] for plain in map(_plain, headers) if plain in positions]
        if here:
            found[name] = here[0]
    return found


def _header_problems(
    path: Path, row: str, cells: Sequence[str], found: Mapping[str, int], required: Columns
) -> Iterator[Problem]:
    """Say which columns the best row of headers lacks, and which it has twice."""
    lacking = [headers for name, headers in required.items() if name not in found]
    if lacking:
        wanted = ", ".join(headers[0] for headers in required.values())
        lacks = ", ".join(" or ".join(headers) for headers in lacking)
        others = [cell for position, cell in enumerate(cells) if cell and position not in found.values()]
        hints = sorted({did_you_mean(header, others) for headers in lacking for header in headers})
        remedy = "; ".join([f"the nearest is {row}, which lacks {lacks}", *filter(None, hints)])
        yield Problem(str(path), f"no row has the columns {wanted}", remedy)
    plain = [_plain(cell) for cell in cells]
    twins = [cells[position] for position in found.values() if plain.count(plain[position]) > 1]
    if twins:
        yield Problem(row, f"more than one column is called {', '.join(twins)}", "remove or rename the others")


def _worksheets(path: Path) -> dict[str, list[list[str]]]:
    """Read every worksheet, by its place in words, as rows of stripped texts."""
    if path.suffix.lower() not in SHEET_SUFFIXES:
        raise BadInput(Problem(str(path), "is not a sheet", f"expected {', '.join(sorted(SHEET_SUFFIXES))}"))
    data: bytes = read(path, lambda: _bytes(path), _REMEDY)
    if not data:
        raise BadInput(Problem(str(path), "is an empty file", "restore it from the original"))
    try:
        tables = {"": _csv(data)} if path.suffix.lower() == ".csv" else _workbook(data)
    except sizes.TooLarge as error:
        raise BadInput(Problem(str(path), str(error), "delete what is no part of the table")) from None
    except CalamineError as error:
        raise BadInput(Problem(str(path), "cannot be read as a sheet: it is damaged or none", _REMEDY)) from error
    except ValueError as error:
        told_as = told(error) if isinstance(error, UnicodeDecodeError) else str(error)
        raise BadInput(Problem(str(path), f"cannot be read as a sheet: {told_as}", _REMEDY)) from error
    return {f"{path}, sheet {name}" if len(tables) > 1 else str(path): table for name, table in tables.items()}


def _bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > sizes.MOST_SHEET_BYTES:
        raise BadInput(Problem(str(path), f"has {size:,} bytes, more than any sheet", "give the sheet of annotations"))
    return path.read_bytes()


def _csv(data: bytes) -> list[list[str]]:
    text = data.decode("utf-8-sig")
    # Spreadsheet programs in countries that write decimals with a comma separate cells by something else.
    separator = max(",;\t", key=text.count)
    sizes.check_text_table(text, separator)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            rows.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise ValueError(f"row {len(rows) + 1}: a quote or a line does not end where it should") from error
    return rows


def _workbook(data: bytes) -> dict[str, list[list[str]]]:
    # From the bytes, not by the suffix: an .xls that is an .xlsx inside is common and harmless.
    sizes.check_workbook(data)
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
