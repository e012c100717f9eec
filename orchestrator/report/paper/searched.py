"""What the report says of searches: how they went, what was chosen for whom, and what naive scores would have told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mer_models.spec import Range
from orchestrator.output.search_history import histories
from orchestrator.report.paper.boards import Board, Line
from orchestrator.report.paper.documents import Cell, Column, Row, Table, plain
from orchestrator.report.paper.scores import named


@dataclass(frozen=True)
class SearchFacts:
    """The searches of a model on a dataset: studies as they went, and the space by parameter."""

    model: str
    studies: list[dict[str, Any]]
    space: dict[str, dict[str, Any]]


def searches(board: Board) -> list[SearchFacts]:
    """The searches behind the models of a board."""
    return [_facts(line) for line in board.lines if line.cell.searched is not None]


def _facts(line: Line) -> SearchFacts:
    studies, space = [], {}
    for study, history in histories(line.source.plan, line.source.folder):
        if (study.model, study.dataset) != (line.cell.cell.model, line.cell.cell.dataset):
            continue
        space = {
            name: {"low": values.low, "high": values.high, "log": values.log}
            if isinstance(values, Range)
            else {"values": list(values)}
            for name, values in study.space.items()
        }
        base = {name: getattr(study.recipe, name) for name in study.space}
        studies.append(
            {
                "group": study.group,
                "seed": study.seed,
                "held_out": len(history.group),
                "chosen": None if history.chosen is None else history.chosen.number,
                "choice": None if history.chosen is None else vars(history.chosen),
                "tried": [
                    {
                        "number": tried.number,
                        "params": {**base, **tried.params},
                        "state": tried.state,
                        "inner_uf1": tried.inner_uf1,
                    }
                    for tried in history.configurations
                ],
            }
        )
    return SearchFacts(line.name, studies, space)


def chosen_table(board: Board, found: list[SearchFacts]) -> Table:
    """What was chosen for each group of held-out subjects."""
    columns = [Column("model", numeric=False), Column("group", numeric=False)]
    columns += [Column(title) for title in ("folds", "seed", "configuration")]
    columns += [Column("parameters", numeric=False), Column("epoch"), Column("UF1 inside")]
    rows = []
    for search in found:
        for study in search.studies:
            choice = study["choice"]
            if choice is not None:
                given = ", ".join(f"{name}={_told(value)}" for name, value in choice["params"].items())
                rows.append(Row([
                    Cell(search.model), Cell(study["group"]), plain(study["held_out"]), plain(study["seed"]),
                    plain(choice["number"]), Cell(given or "the recipe"), plain(choice["epoch"]),
                    plain(choice["inner_uf1"]),
                ]))  # fmt: skip
    note = "UF1 inside: pooled over validation answers of other subjects than the group's, at the chosen epoch."
    return Table(named(board, "chosen"), f"What the searches chose on {board.dataset}", columns, rows, note)


def _told(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def optimism_table(board: Board) -> tuple[Table, str]:
    """The nested result beside what choosing on the same subjects would have told, and why that is not known."""
    columns = [
        Column("model", numeric=False),
        *(Column(t) for t in ("configurations", "stopped", "failed", "trainings")),
    ]
    columns += [Column("nested"), Column("BBC"), Column("naive", oracle=True), Column("optimism", oracle=True)]
    rows, reasons, number = [], [], board.documents.number
    for line in board.lines:
        search = line.row["search"]
        if search is None:
            continue
        at = f"{line.at}/search"
        counts = [number(f"{at}/configurations/{name}") for name in ("proposed", "pruned", "failed")]
        known = [number(f"{at}/{name}/uf1") if search[name] else Cell("–") for name in ("bbc", "naive")]
        gap = plain(search["naive"]["uf1"] - line.row["uf1"]) if search["naive"] else Cell("–")
        rows.append(Row([Cell(line.name), *counts, number(f"{at}/trainings"), number(f"{line.at}/uf1"), *known, gap]))
        if search["unavailable"]:
            reasons.append(f"{line.name}: no BBC and naive score, {search['unavailable'].replace('`', '')}.")
    note = (
        "Nested: the result; chosen for each group without looking at it. BBC: the best configuration's score, "
        "corrected for having been chosen by it. Naive: that score as it is, which is no result. Optimism: naive less "
        "nested."
    )
    table = Table(named(board, "optimism"), f"Searches on {board.dataset}", columns, rows, note)
    return table, " ".join(reasons)
