"""What the sources of the formats look like, as data: to name the right format when the wrong one was asked for.

``layouts.csv`` holds for each format the headers of its sheet, all of which are in one row, and a folder of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from mer_data.datasets.common import entries, loose, read_each, sheet_files
from mer_data.sheets import BareSheet, has_headers, read_bare


def looks_like(sources: Sequence[Path]) -> list[tuple[str, Path]]:
    """The formats that sources look like, and the file or folder that shows it: by their sheets first, then by folders.

    A sheet shows the format of which it has the most headers.
    """
    text = (resources.files("mer_data") / "layouts.csv").read_text(encoding="utf-8")
    layouts = list(csv.DictReader(text.splitlines()))
    folders = [path for path in sources if path.is_dir()]
    files = [path for path in sources if path.is_file()]
    sheets, _ = read_each([*files, *(file for path in folders for file in sheet_files(path))], _bare)
    by_sheet = []
    for path, tables in sheets:
        fitting = [
            (len(headers), row["format"])
            for row in layouts
            if (headers := [*filter(None, row["headers"].split(";"))])
            and any(has_headers(table, headers) for table in tables)
        ]
        if fitting:
            by_sheet.append((*max(fitting, key=lambda one: one[0]), path))
    by_sheet.sort(key=lambda one: -one[0])
    here = {loose(path.name): folder for folder in folders for path in (folder, *entries(folder)) if path.is_dir()}
    by_folder = [(row["format"], here[folder]) for row in layouts if (folder := loose(row["folders"])) in here]
    return [*((format_, path) for _, format_, path in by_sheet), *by_folder]


def _bare(path: Path) -> tuple[Path, Sequence[BareSheet]]:
    return path, read_bare(path)
