"""What a row of the table tells besides its scores: seeds, classes, the ensemble of seeds, calibration, guessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.report.predictions import CellPredictions
from orchestrator.score import metrics
from orchestrator.score.calibration import calibration as calibrated
from orchestrator.score.chance import guessed_uf1, share_above
from orchestrator.score.metrics import Counts, Floats
from orchestrator.score.model_selection import Indices

ENSEMBLE = "argmax of the mean softmax over seeds"


@dataclass(frozen=True)
class Scope:
    """Runs and subjects of a cell that a row is about.

    Attributes
    ----------
    runs
        Indices of the runs.
    subjects
        Which subjects, bool ``[subjects of the cell]``.
    strata
        Source index of each of these subjects, int64.
    """

    runs: Sequence[int]
    subjects: npt.NDArray[np.bool_]
    strata: Indices

    def of(self, counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The part of ``[..., runs, subjects, true, predicted]`` that belongs to the scope."""
        return counts[..., list(self.runs), :, :, :][..., self.subjects, :, :]


def f1_of(index: int, counts: Counts) -> Floats:
    """F1 of one class, ``[...]``."""
    return metrics.f1(counts)[..., index]


def per_seed(cell: CellPredictions, pooled: Counts) -> list[dict[str, Any]]:
    """Scores of each seed, mean over runs; from ``[seeds, runs, true, predicted]``."""
    uf1, uar, accuracy = (metric(pooled).mean(1) for metric in (metrics.uf1, metrics.uar, metrics.accuracy))
    return [
        {"seed": seed, "uf1": float(uf1[i]), "uar": float(uar[i]), "accuracy": float(accuracy[i])}
        for i, seed in enumerate(cell.seeds)
    ]


def per_class(cell: CellPredictions, scope: Scope, pooled: Counts, intervals: Sequence[Any]) -> list[dict[str, Any]]:
    """Scores of each class, mean over runs and seeds; None for a class without clips, which has none."""
    tested, learnt = cell.tested[scope.runs][:, scope.subjects], cell.trained[scope.runs][:, scope.subjects]
    clips, hopeless = tested.sum((0, 1)), (tested * (learnt == 0)).sum((0, 1))
    found = []
    for index, name in enumerate(cell.cohort.classes):
        told: dict[str, Any] = {
            "class": name,
            "clips": int(tested.max(0)[:, index].sum()),
            "subjects": int((tested.max(0)[:, index] > 0).sum()),
            **dict.fromkeys(("recall", "precision", "f1", "f1_interval", "warning")),
        }
        if clips[index]:
            for metric in (metrics.recall, metrics.precision, metrics.f1):
                told[metric.__name__] = float(metric(pooled)[..., index].mean())
            told["f1_interval"] = intervals[index]
        if hopeless[index]:
            where = "its one subject" if told["subjects"] == 1 else f"{hopeless[index]} of {clips[index]} tests"
            told["warning"] = f"no training clip shows {name} to a model that is tested on {where}: it cannot learn it"
        found.append(told)
    return found


def ensemble(cell: CellPredictions, scope: Scope) -> dict[str, Any] | None:
    """Scores of the seeds' common answer; None for one seed, and where there are no probabilities to average."""
    answers = cell.ensemble
    if answers is None:
        return None
    pooled = scope.of(cell.counted([answers])).sum(2)
    scores = {metric.__name__: float(metric(pooled).mean()) for metric in (metrics.uf1, metrics.uar, metrics.accuracy)}
    return {"rule": ENSEMBLE, **scores}


def calibration(cell: CellPredictions, scope: Scope) -> dict[str, float] | None:
    """Calibration of the last kept epoch, mean over runs and seeds; None for a model without probabilities."""
    if cell.log_probabilities is None:
        return None
    tables = []
    for seed, logs in enumerate(cell.log_probabilities):
        for run in scope.runs:
            there = (cell.run[seed] == run) & scope.subjects[cell.subject[seed]]
            if there.any():  # a partial table may lack a source with one seed
                tables.append(asdict(calibrated(logs[there], cell.true[seed][there])))
    return {name: float(np.mean([table[name] for table in tables])) for name in tables[0]}


def above_chance(cell: CellPredictions, scope: Scope, per_subject: Counts) -> float:
    """The share of 2,000 tables of guesses by the training clips' class frequencies that reach the row's UF1."""
    return share_above(float(metrics.uf1(per_subject.sum(2)).mean()), _guesses(cell, scope))


def chance_interval(cell: CellPredictions, scope: Scope) -> list[float]:
    """Between which scores 95 % of these tables lie."""
    return [float(end) for end in np.quantile(_guesses(cell, scope), [0.025, 0.975])]


def _guesses(cell: CellPredictions, scope: Scope) -> Floats:
    tested, trained = cell.tested[scope.runs][:, scope.subjects], cell.trained[scope.runs][:, scope.subjects]
    return guessed_uf1(tested, trained / np.maximum(trained.sum(-1, keepdims=True), 1))
