"""The table, and the leaderboard: its headline rows, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mer_data.problems import BadInput, Problem, did_you_mean
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.status import status
from orchestrator.report.comparison import separable_from_best
from orchestrator.report.predictions import Cell, CellPredictions
from orchestrator.report.score_rows import HEADLINES, headline, rows
from orchestrator.score.model_selection import RULES

ORACLES = [name for name, rule in RULES.items() if rule.oracle]


def known_rule(name: str) -> str:
    """The name, if it is a selection rule's.

    Raises
    ------
    BadInput
        If it is not.
    """
    if name not in RULES:
        raise BadInput(Problem("--rule", f"unknown rule {name!r}", did_you_mean(name, RULES)))
    return name


def score_document(plan: Plan, ledger: Ledger, scored: Sequence[CellPredictions], rule: str) -> dict[str, Any]:
    """The document of ``mer score --json``.

    Of headline rows under an honest rule, `separable_from_best` tells whether the model is worse than the best one of
    its dataset by more than luck; see :func:`orchestrator.report.comparison.separable_from_best`.
    """
    state = status(plan, ledger)["jobs"]
    complete = not state["missing"] and not state["failed"]
    separable = {} if RULES[rule].oracle else separable_from_best(scored, rule)
    found = []
    for row in rows(scored, rule):
        cell = Cell(row["model"], row["dataset"], row["configuration"])
        found.append({**row, "separable_from_best": separable.get(cell) if row["scope"] in HEADLINES else None})
    return {"rule": rule, "oracle": RULES[rule].oracle, "complete": complete, "rows": found}


def board(scored: Sequence[CellPredictions], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The leaderboard: each cell's headline row, with its oracle scores beside it, best first.

    An oracle is None where every fold kept one epoch, so that there was nothing to choose from.

    Parameters
    ----------
    scored, document
        Cells, and their :func:`score_document` under the headline rule.
    """
    whole = [row for row in document["rows"] if row["scope"] in HEADLINES]
    lines = [
        {**row, "rule": document["rule"], "oracle": {name: _oracle(cell, name) for name in ORACLES}}
        for cell, row in zip(scored, whole, strict=True)
    ]
    return sorted(lines, key=lambda line: (line["dataset"], -line["uf1"]))


def _oracle(cell: CellPredictions, rule: str) -> dict[str, float] | None:
    return headline(cell.per_subject(rule)) if cell.several_epochs else None
