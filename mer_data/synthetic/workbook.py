"""Cells and workbooks of the twins' annotation sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import xlsxwriter

from mer_data.synthetic.casting import ClipTruth

Worksheets = Mapping[str, Sequence[Sequence[object]]]  # by name, each with rows of text and numbers


def write_worksheets(path: Path, sheets: Worksheets) -> None:
    """Write a workbook."""
    workbook = xlsxwriter.Workbook(path)
    workbook.set_properties({"created": datetime(2014, 5, 8)})  # else every run gives other bytes
    for name, rows in sheets.items():
        sheet = workbook.add_worksheet(name)
        for number, cells in enumerate(rows):
            sheet.write_row(number, 0, cells)
    workbook.close()


def two_sheets(rows: Sequence[Sequence[object]]) -> Worksheets:
    """Put rows into the first of two worksheets; the second is empty, as in real ones."""
    return {"Sheet1": rows, "Sheet2": ()}


def write_workbook(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write a workbook of :func:`two_sheets`."""
    write_worksheets(path, two_sheets(rows))


def apex_cell(truth: ClipTruth) -> object:
    """The apex as a number, or, where the sheet has none, one of the ways to say so: they change from clip to clip."""
    if truth.apex_in_sheet:
        return truth.apex
    ways = ("/", "", 0, -1, truth.onset, truth.offset + 9)
    return ways[(truth.face + truth.offset) % len(ways)]


def units_cell(truth: ClipTruth) -> object:
    """Action units as spreadsheet programs store them: a single one becomes a number."""
    return int(truth.action_units) if truth.action_units.isdigit() else truth.action_units
