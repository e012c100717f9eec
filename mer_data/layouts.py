"""What the sources of the formats look like, as data: to name the right format when the wrong one was asked for.

``layouts.csv`` holds for each format the headers of its sheet, all of which are in one row, and a folder of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from mer_data.datasets.common import entries, loose, read_each, sheet_files
from mer_data.sheets import has_headers, read_bare


def looks_like(sources: Sequence[Path]) -> tuple[str, Path] | None:
    """The format that sources look like, most of all by their sheets, and the file or folder that shows it."""
    text = (resources.files("mer_data") / "layouts.csv").read_text(encoding="utf-8")
    layouts = [
        (row["format"], tuple(filter(None, row["headers"].split(";"))), row["folders"])
        for row in csv.DictReader(text.splitlines())
    ]
    folders = [path for path in sources if path.is_dir()]
    files = [path for path in sources if path.is_file()] or [file for path in folders for file in sheet_files(path)]
    sheets, _ = read_each(files, lambda path: (path, read_bare(path)))
    found = [
        (len(headers), format_, path)
        for format_, headers, _ in layouts
        for path, tables in sheets
        if headers and any(has_headers(table, headers) for table in tables)
    ]
    if found:
        _, format_, path = max(found, key=lambda one: one[0])
        return format_, path
    for format_, _, name in layouts:
        for folder in folders:
            if name and any(loose(path.name) == loose(name) for path in (folder, *entries(folder)) if path.is_dir()):
                return format_, folder
    return None
