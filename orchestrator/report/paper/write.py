"""The report of output folders: a page, figures as PDF, tables as LaTeX and CSV; the same bytes each time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mer_data.files import written_aside
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report.flat_tables import csv_text
from orchestrator.report.leaderboard import board as leaderboard
from orchestrator.report.paper import latex, markdown, scores
from orchestrator.report.paper.boards import boards, read, score_documents
from orchestrator.report.paper.checklist import checklist
from orchestrator.report.paper.documents import Table
from orchestrator.report.paper.methods import methods
from orchestrator.report.paper.page import page
from orchestrator.report.paper.sections import sections

PAGE = "report.html"
_OURS = r"(?:figures|tables)/[A-Za-z0-9_-]+\.(?:pdf|tex|csv|bib)|report\.md"


def write_report(opened: Sequence[tuple[str, Plan, Ledger]], to: Path) -> list[str]:
    """Write the report into a folder.

    Parameters
    ----------
    opened
        Results, each under the name that the user gave.
    to
        The folder. Files of an earlier report, which its page names, are removed; others are left alone.

    Returns
    -------
    The files, relative to the folder, the page first.

    Raises
    ------
    BadInput
        If folds are missing, or results of one dataset are not of the same clips, classes, protocol and number of
        seeds.
    """
    sources = read(opened)
    scored = score_documents(sources)
    boarded = [leaderboard(source.results.cells, document) for source, document in zip(sources, scored, strict=True)]
    found = boards(sources, scored, boarded)
    parts = [(board, sections(board)) for board in found]
    listed, told = checklist(sources), methods(found)
    files: dict[str, bytes] = {}
    for _, of_board in parts:
        for section in of_board:
            files |= {f"figures/{picture.name}.pdf": picture.pdf for picture in section.pictures if picture is not None}
            for table in section.all_tables():
                files |= _files(table)
    files |= _files(listed)
    files |= {"tables/methods.tex": told.latex.encode(), "tables/references.bib": told.bibtex.encode()}
    whole = [(board, scores.result(board), scores.completeness(board), found) for board, found in parts]
    files["report.md"] = markdown.document(whole, told, listed).encode()
    files = {PAGE: page(sources, whole, told, listed, list(files)).encode(), **files}
    for name in _earlier(to) - files.keys():
        (to / name).unlink(missing_ok=True)
    for name, content in files.items():
        with written_aside(to / name) as aside:
            aside.write_bytes(content)
    return list(files)


def _earlier(to: Path) -> set[str]:
    """The files that an earlier report left in a folder, as its page names them."""
    if not (to / PAGE).is_file():
        return set()
    named = re.search(r'<meta name="files" content="([^"]*)">', (to / PAGE).read_text("utf-8", errors="replace"))
    return {name for name in named[1].split() if re.fullmatch(_OURS, name)} if named else set()


def _files(table: Table) -> dict[str, bytes]:
    return {
        f"tables/{table.name}.tex": latex.table(table).encode(),
        f"tables/{table.name}.csv": csv_text(_lines(table)).encode(),
    }


def _lines(table: Table) -> list[dict[str, object]]:
    """A table for CSV: numbers as they are, intervals in two columns, oracles left out as in LaTeX."""
    kept = [index for index, column in enumerate(table.columns) if not column.oracle]
    wide = {index for index in kept if any(isinstance(row.cells[index].value, tuple) for row in table.rows)}
    lines = []
    for row in table.rows:
        line: dict[str, object] = {}
        for index in kept:
            title, cell = table.columns[index].title, row.cells[index]
            if index in wide:
                low, high = cell.value if isinstance(cell.value, tuple) else (None, None)
                line |= {f"{title} low": low, f"{title} high": high}
            else:
                empty = table.columns[index].numeric and cell.value is None
                line[title] = None if empty else cell.text if cell.value is None else cell.value
        lines.append(line)
    return lines
