"""Results as tables for Python: an output folder opened, its scores and predictions as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestrator.console import Console
from orchestrator.output.results import open_results
from orchestrator.report import comparison, flat_tables, leaderboard, result_files
from orchestrator.report.predictions import CellPredictions, score_cells


class OpenedResults:
    """The results of an experiment, read from its output folder; nothing is trained.

    Every table has the columns of the file of the same content in the output folder (docs/results-files.md);
    ``table.to_pandas()`` makes a data frame of it, where pandas is installed.

    Parameters
    ----------
    out
        An output folder of ``mer run``, its address in object storage, or a capsule.
    partial
        Whether folds may be missing.

    Raises
    ------
    BadInput
        If there is no plan, a result or a capsule is damaged, or folds are missing and `partial` is not set.
    """

    def __init__(self, out: str | Path, *, partial: bool = False) -> None:
        self.name, self._partial = str(out), partial
        self.plan, self._ledger = open_results(out, Console())

    def __repr__(self) -> str:
        return f"<results of {self.plan.name}: {', '.join(self.plan.recipes)} on {', '.join(self.plan.datasets)}>"

    @cached_property
    def _cells(self) -> list[CellPredictions]:
        return score_cells(self.plan, self._ledger, partial=self._partial)

    def document(self, rule: str | None = None) -> dict[str, Any]:
        """What ``mer score --json`` prints, by the experiment's own rule or another one."""
        chosen = leaderboard.known_rule(rule or self.plan.rule)
        return leaderboard.score_document(self.plan, self._ledger, self._cells, chosen)

    def scores(self, rule: str | None = None) -> pa.Table:
        """A row per model × dataset × configuration × scope, as ``mer score --csv``."""
        return _table(flat_tables.score_lines(self.document(rule)))

    def per_class(self) -> pa.Table:
        """A row per class of each of these rows: clips, subjects, recall, precision, F1 with its interval."""
        return _table(flat_tables.class_lines(self.document()))

    def predictions(self) -> pa.Table:
        """A row per clip and seed: what the experiment's rule answered, and the probabilities of the classes."""
        return _table(result_files.prediction_lines(self.plan, self._cells))

    def per_subject(self) -> pa.Table:
        """A row per subject and seed: clips, and how many of them were right."""
        return _table(result_files.subject_lines(self.plan, self._cells))

    def compare(self, *others: OpenedResults, reference: str | None = None, metric: str = "uf1") -> pa.Table:
        """Models against a reference, as ``mer compare --csv``; `others` bring the models of other folders.

        Raises
        ------
        BadInput
            If the folders do not have the same clips, classes or protocol, or there is nothing to compare.
        """
        results = [comparison.Results(opened.name, opened.plan, opened._cells) for opened in (self, *others)]
        return _table(flat_tables.comparison_lines(comparison.compare(results, reference, metric)))


def _table(lines: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(line) for line in lines])
