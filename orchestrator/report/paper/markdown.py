"""The report as Markdown: its words and tables without its figures, for pages that show results, and for diffs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.report.paper import scores
from orchestrator.report.paper.boards import Board
from orchestrator.report.paper.documents import Cell, Prose, Table
from orchestrator.report.paper.methods import Methods
from orchestrator.report.paper.sections import Section


def document(parts: Sequence[tuple[Board, Prose, Prose, Sequence[Section]]], methods: Methods, checklist: Table) -> str:
    """The report as text, a section per heading of the second level.

    Parameters
    ----------
    parts
        Per dataset: its board, the result and how complete it is, and its sections.
    methods, checklist
        What follows for all datasets.
    """
    blocks: list[str] = []
    for board, result, complete, sections in parts:
        first = [_prose(told) for told in (scores.of_guesses(board), result, complete)]
        blocks += [f"# Results on {escaped(board.dataset)}", *filter(None, first)]
        for section in sections:
            shown = list(_section(section))
            blocks += [f"## {section.title}", *shown] if shown else []
    blocks += ["## Methods", escaped(methods.english), "## Checklist", *table(checklist)]
    return "\n\n".join(blocks) + "\n"


def _section(section: Section) -> Iterator[str]:
    """What is told and the tables; paragraphs that only explain a figure are left out with it."""
    tables = [*section.tables, *section.folded]
    if not any(picture is not None for picture in section.pictures):
        yield from map(_prose, section.told)
    for one in tables:
        if one is not None and one.rows:
            yield from table(one)


def table(of: Table) -> Iterator[str]:
    """A table below its caption, and its note. Headings of what an oracle chose are in italics."""
    titles = [f"*{escaped(column.title)}*" if column.oracle else escaped(column.title) for column in of.columns]
    lines = [_row(titles), _row("--:" if column.numeric or column.oracle else "---" for column in of.columns)]
    for row in of.rows:
        cells = [_cell(cell) for cell in row.cells]
        if row.kind == "part":
            cells[0] = f"&emsp;{cells[0]}"
        lines.append(_row(cells))
    yield f"**{escaped(of.caption)}**"
    yield "\n".join(lines)
    if of.note:
        yield escaped(of.note)


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    return f"**{escaped(cell.text)}**" if cell.bold and cell.text else escaped(cell.text)


def _prose(prose: Prose) -> str:
    return "".join(escaped(part) if isinstance(part, str) else _cell(part) for part in prose).strip()


def escaped(text: str) -> str:
    """Text in which nothing is markup by accident, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", re.sub(r"\s+", " ", text))
