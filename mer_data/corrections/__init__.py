"""Sourced fixes to official sheets, kept as data: one CSV file per dataset beside this module.

Columns: ``subject``, ``clip`` and ``onset`` tell the row (an empty one matches any), ``field`` the cell, ``old`` and
``new`` its value, ``reason`` and ``source`` why and who says so. A correction applies only where the old value is
found, so a sheet that was mended by its owners is left alone.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from mer_data.sheets import Row


@dataclass(frozen=True)
class Correction:
    """One cell to mend; the attributes are the columns of the file."""

    subject: str
    clip: str
    onset: str
    field: str
    old: str
    new: str
    reason: str
    source: str

    def fits(self, subject: str, clip: str, row: Row) -> bool:
        """Whether this is the row, and its cell still has the old value."""
        keys = ((self.subject, subject), (self.clip, clip), (self.onset, row.cells.get("onset", "")))
        return row.cells.get(self.field) == self.old and all(not key or key == found for key, found in keys)


@cache
def corrections(dataset: str) -> tuple[Correction, ...]:
    """All corrections of a dataset; empty if there are none."""
    path = resources.files("mer_data") / "corrections" / f"{dataset}.csv"
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(Correction(**line) for line in csv.DictReader(lines))


def correct(dataset: str, subject: str, clip: str, row: Row) -> tuple[Row, list[str]]:
    """Apply a dataset's corrections to one row of its sheet.

    Parameters
    ----------
    dataset
        The dataset's id, for instance ``samm``.
    subject, clip
        Canonical subject (not qualified) and clip name of the row.
    row
        The row as it was read.

    Returns
    -------
    The row with mended cells, whose names are in ``row.corrected``; and a note for each change.
    """
    notes = []
    for change in corrections(dataset):
        if change.fits(subject, clip, row):
            notes.append(
                f"{row.at(change.field)}: {change.old} corrected to {change.new}: {change.reason} ({change.source})"
            )
            row = replace(row, cells={**row.cells, change.field: change.new}, corrected=row.corrected | {change.field})
    return row, notes
