"""Output folders side by side: for each dataset the models there, best first, and the documents of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mer_data.problems import raise_all
from orchestrator.experiment.plan import Plan, PlannedDataset
from orchestrator.output.ledger import Ledger
from orchestrator.report.comparison import Entry, Results, compare_all, named_entries, separable_from_best, unlike
from orchestrator.report.leaderboard import score_document
from orchestrator.report.paper.documents import Documents
from orchestrator.report.predictions import AGAIN, Cell, CellPredictions, score_cells
from orchestrator.report.score_rows import HEADLINES
from orchestrator.score.model_selection import RULES


@dataclass(frozen=True)
class Source:
    """Complete results, how the user called them, and the folder that holds plan and ledger."""

    results: Results
    folder: Path

    @property
    def name(self) -> str:
        """How the user called them."""
        return self.results.name

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.results.plan


@dataclass(frozen=True)
class Line:
    """A model on a dataset.

    Attributes
    ----------
    name
        That no other model of the dataset has.
    source, entry
        Where it comes from.
    at
        The path of its headline row in the documents.
    row
        That row.
    parts
        The paths of its other rows: sources of a composite, or runs.
    baseline
        Whether it looks at no clip.
    tied
        Whether it is not separable from the best one, itself included; None where that cannot be told.
    """

    name: str
    source: Source
    entry: Entry
    at: str
    row: dict[str, Any]
    parts: tuple[str, ...]
    baseline: bool
    tied: bool | None

    @property
    def cell(self) -> CellPredictions:
        """Its predictions."""
        return self.entry.cell

    @property
    def settings(self) -> str:
        """What decides its training and is not the published recipe; empty if nothing is."""
        changes = self.cell.cell.configuration.split(", ")
        return ", ".join(change for change in changes if change != "recipe" and not change.startswith("keep_every="))


@dataclass(frozen=True)
class Board:
    """A dataset with its models, best first.

    Attributes
    ----------
    dataset
        Its name.
    slug
        The name in file names and anchors; empty for the only dataset.
    lines
        The models.
    pairs
        Path of the document that compares every two of them.
    documents
        Where the numbers come from.
    """

    dataset: str
    slug: str
    lines: tuple[Line, ...]
    pairs: str
    documents: Documents

    @property
    def equal_seeds(self) -> bool:
        """Whether all models have equally many seeds."""
        return len({line.row["seeds"] for line in self.lines}) == 1

    @property
    def best(self) -> Line:
        """The model with the highest UF1."""
        return self.lines[0]

    @property
    def models(self) -> tuple[Line, ...]:
        """Those that look at clips; all of them if none does."""
        return tuple(line for line in self.lines if not line.baseline) or self.lines

    @property
    def planned(self) -> PlannedDataset:
        """The dataset as the best model's experiment planned it; what others planned differs in features only."""
        return self.best.source.plan.datasets[self.dataset]


def read(opened: Sequence[tuple[str, Plan, Ledger]]) -> list[Source]:
    """Read results that must be complete; each comes with the name that the user gave.

    Raises
    ------
    BadInput
        If folds are missing.
    """
    return [
        Source(Results(name, plan, score_cells(plan, ledger, partial=False, remedy=AGAIN)), ledger.root.parent)
        for name, plan, ledger in _labelled(opened)
    ]


def _labelled(opened: Sequence[tuple[str, Plan, Ledger]]) -> list[tuple[str, Plan, Ledger]]:
    """Under the last part of their paths, if these differ: where folders lie on a machine is nobody's business."""
    last = [name.rstrip("/").rpartition("/")[2] for name, _, _ in opened]
    if len(set(last)) < len(last) or "" in last:
        return list(opened)
    return [(short, plan, ledger) for short, (_, plan, ledger) in zip(last, opened, strict=True)]


def boards(
    sources: Sequence[Source], documents: Sequence[dict[str, Any]], leaderboards: Sequence[list[dict[str, Any]]]
) -> list[Board]:
    """Put the models of all results beside each other.

    Parameters
    ----------
    sources, documents, leaderboards
        Results, their score documents, and their leaderboards, which hold the oracles.

    Raises
    ------
    BadInput
        If results of a dataset are not of the same clips, classes and protocol.
    """
    by_dataset = named_entries([source.results for source in sources])
    raise_all(problem for dataset, entries in by_dataset.items() for problem in unlike(dataset, entries))
    pairs = [compare_all(dataset, entries, "uf1") for dataset, entries in by_dataset.items()]
    numbers = Documents({"score": list(documents), "board": list(leaderboards), "pairs": pairs})
    slugs = [""] if len(by_dataset) == 1 else _slugs(list(by_dataset))
    found = []
    for index, (dataset, entries) in enumerate(by_dataset.items()):
        tied = _tied(sources, documents, entries)
        lines = [_line(sources, documents, entry, tied[entry.name]) for entry in entries]
        lines.sort(key=lambda line: -line.row["uf1"])
        found.append(Board(dataset, slugs[index], tuple(lines), f"pairs/{index}", numbers))
    return found


def score_documents(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """What ``mer score --json`` says of each of them."""
    return [
        score_document(source.plan, Ledger(source.folder / "ledger"), source.results.cells, source.plan.rule)
        for source in sources
    ]


def _slugs(datasets: Sequence[str]) -> list[str]:
    plain = ["".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name) for name in datasets]
    return [f"{number}-{name}" for number, name in enumerate(plain, 1)]


def _line(sources: Sequence[Source], documents: Sequence[dict[str, Any]], entry: Entry, tied: bool | None) -> Line:
    index = next(number for number, source in enumerate(sources) if source.results is entry.of)
    cell = entry.cell.cell
    places = [
        number
        for number, row in enumerate(documents[index]["rows"])
        if (row["model"], row["dataset"], row["configuration"]) == (cell.model, cell.dataset, cell.configuration)
    ]
    paths = {documents[index]["rows"][place]["scope"]: f"score/{index}/rows/{place}" for place in places}
    head = next(scope for scope in paths if scope in HEADLINES)
    row = documents[index]["rows"][int(paths[head].rpartition("/")[2])]
    return Line(
        name=entry.name,
        source=sources[index],
        entry=entry,
        at=paths[head],
        row=row,
        parts=tuple(path for scope, path in paths.items() if scope != head),
        baseline=not entry.of.plan.datasets[cell.dataset].inputs[cell.model],
        tied=tied,
    )


def _tied(
    sources: Sequence[Source], documents: Sequence[dict[str, Any]], entries: Sequence[Entry]
) -> dict[str, bool | None]:
    """By name, whether a model is not separable from the best: as the score document says, or over all folders."""
    if len(sources) == 1:
        told = {
            Cell(row["model"], row["dataset"], row["configuration"]): row["separable_from_best"]
            for row in documents[0]["rows"]
            if row["scope"] in HEADLINES
        }
        return {entry.name: _opposite(told[entry.cell.cell]) for entry in entries}
    # One name each, and one rule: honest rules differ in how an epoch came to be the last, and answer with the last.
    rule = next(name for name, known in RULES.items() if not known.oracle)
    alike = [
        replace(
            entry.cell,
            cell=replace(entry.cell.cell, model=entry.name),
            predicted={rule: entry.cell.predicted[entry.of.plan.rule]},
        )
        for entry in entries
    ]
    separable = separable_from_best(alike, rule)
    return {line.cell.model: _opposite(separable[line.cell]) for line in alike}


def _opposite(value: bool | None) -> bool | None:
    return None if value is None else not value
