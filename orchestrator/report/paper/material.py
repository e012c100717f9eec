"""What the report says of the data: clips per class and source, apexes, corrections, what was left out and why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mer_data.composites import LISTS
from mer_data.files import read_json
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.storage.store import Store, original
from orchestrator.experiment.cohort import Cohort
from orchestrator.report.paper.boards import Board
from orchestrator.report.paper.documents import Cell, Column, Row, Table, plain
from orchestrator.report.paper.scores import named

_MOST = 60  # corrections that are listed


@dataclass(frozen=True)
class Material:
    """Tables of a dataset; a word where the store could not be asked."""

    classes: Table
    per_subject: dict[str, list[int]]
    apexes: Table | None
    left_out: Table | None
    corrections: Table | None
    told: str


def material(board: Board) -> Material:
    """The data of a board, from its plan, and from the store as far as that can be reached."""
    cohort, store = board.best.cell.cohort, Store(board.best.source.plan.store)
    of_plan = (_class_table(board, cohort), _per_subject(cohort))
    try:
        clips = [clip for member in cohort.members for clip in store.dataset(member).clips]
        notes = [note for member in cohort.members for note in _notes(store.root / original(member) / "dataset.json")]
    except (BadInput, OSError):
        told = "The store cannot be reached from here: apex sources, corrections and what was left out are not known."
        return Material(*of_plan, None, None, None, told)
    if not set(cohort.clip_ids) <= {clip.id for clip in clips}:
        told = "The store has other clips by now: apex sources, corrections and what was left out are not known."
        return Material(*of_plan, None, None, None, told)
    corrected = _corrections(board, notes)
    told = "" if corrected.rows else "No correction of an annotation sheet was noted at import."
    left = _left_out(board, cohort, clips)
    told += "" if left.rows else " No clip of the store's datasets was left out."
    return Material(*of_plan, _apex_table(board, cohort, clips), left if left.rows else None,
                    corrected if corrected.rows else None, told.strip())  # fmt: skip


def _source(subject: str) -> str:
    return subject.split("/")[0]


def _class_table(board: Board, cohort: Cohort) -> Table:
    count = Counter((_source(who), label) for who, label in zip(cohort.subjects, cohort.labels, strict=True))
    people = Counter(_source(who) for who in set(cohort.subjects))
    columns = [Column("source", numeric=False), *(Column(name) for name in cohort.classes)]
    columns += [Column("clips"), Column("subjects")]
    rows = [
        Row([Cell(source), *(plain(count[source, name]) for name in cohort.classes),
             plain(sum(count[source, name] for name in cohort.classes)), plain(people[source])])
        for source in sorted(people)
    ]  # fmt: skip
    if len(people) > 1:
        totals = [sum(count[source, name] for source in people) for name in cohort.classes]
        rows.append(Row([Cell("all"), *map(plain, totals), board.documents.number(f"{board.best.at}/clips"),
                         board.documents.number(f"{board.best.at}/subjects")], "baseline"))  # fmt: skip
    return Table(named(board, "clips"), f"Clips of {board.dataset}", columns, rows, f"Classes by {cohort.scheme}.")


def _per_subject(cohort: Cohort) -> dict[str, list[int]]:
    clips = Counter(cohort.subjects)
    sources = sorted({_source(who) for who in clips})
    return {
        source: sorted((n for who, n in clips.items() if _source(who) == source), reverse=True) for source in sources
    }


def _apex_table(board: Board, cohort: Cohort, clips: list[Clip]) -> Table:
    here = [clip for clip in clips if clip.id in cohort.label_of]
    found = Counter((clip.dataset, clip.apex_source or "none given") for clip in here)
    kinds = sorted({kind for _, kind in found})
    columns = [Column("source", numeric=False), *(Column(kind) for kind in kinds)]
    rows = [
        Row([Cell(source), *(plain(found[source, kind]) for kind in kinds)]) for source in sorted({s for s, _ in found})
    ]
    return Table(named(board, "apexes"), f"Where the apex frames of {board.dataset} come from (clips)", columns, rows)


def _left_out(board: Board, cohort: Cohort, clips: list[Clip]) -> Table:
    why = f"not in the list {cohort.scheme}" if cohort.scheme in LISTS else f"no class in {cohort.scheme}"
    out = Counter((clip.dataset, clip.emotion) for clip in clips if clip.id not in cohort.label_of)
    columns = [Column("source", numeric=False), Column("emotion", numeric=False), Column("clips")]
    columns.append(Column("why", numeric=False))
    rows = [
        Row([Cell(source), Cell(emotion), plain(out[source, emotion]), Cell(why)]) for source, emotion in sorted(out)
    ]
    return Table(named(board, "left-out"), f"Clips of the datasets that {board.dataset} leaves out", columns, rows)


def _notes(path: Path) -> list[str]:
    found = read_json(path, "import the dataset again").get("notes", [])
    return [str(note) for note in found]


def _corrections(board: Board, notes: list[str]) -> Table:
    """Corrections that imports noted, without the place of the sheet on the machine."""
    said = [note for note in notes if re.search(r": .* corrected to .*: ", note)]
    columns = [Column("cell", numeric=False), Column("correction, reason and source", numeric=False)]
    rows = []
    for note in said[:_MOST]:
        found = re.search(r"(row \d+(?:, column [^:]*)?): (.*)", note)
        cell, text = (found[1], found[2]) if found else ("", note.rpartition("/")[2])
        rows.append(Row([Cell(cell), Cell(text)]))
    hidden = len(said) - len(rows)
    note = f"{hidden} more are in the store." if hidden else ""
    return Table(named(board, "corrections"), f"Corrections of the sheets of {board.dataset}", columns, rows, note)
