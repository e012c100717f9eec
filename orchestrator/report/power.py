"""What an experiment can show before it is run: the smallest difference that its cohort and its seeds let one see."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from mer_data.problems import BadInput, Problem
from orchestrator.console import Console
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.resolve import Resolved
from orchestrator.report.comparison import Results
from orchestrator.report.predictions import CellPredictions
from orchestrator.report.score_rows import scopes
from orchestrator.score import metrics
from orchestrator.score.comparison import detectable, difference
from orchestrator.score.metrics import Counts
from orchestrator.score.power import ACCURACY, SEED_SD, SHARED, assumed_error, seed_error

_ASSUMED_SUBJECTS = f"assumed: two models of accuracy {ACCURACY:g} that answer {SHARED:.0%} of the clips alike"
_ASSUMED_SEEDS = f"assumed: a standard deviation of {SEED_SD:g} between trainings"


def power(resolved: Resolved, against: Results | None) -> dict[str, Any]:
    """The document of ``mer power --json``: one line per dataset of an experiment.

    Parameters
    ----------
    resolved
        The experiment; nothing of it need be trained.
    against
        Results on the same clips, from which the errors are measured; assumed values are taken if None.

    Raises
    ------
    BadInput
        If the results hold no two complete models on a dataset's clip list, or there are too few subjects.
    """
    seeds = len(resolved.experiment.seeds)
    found = []
    for name, of in resolved.datasets.items():
        cohort, family = of.cohort, max(len(of.inputs) - 1, 1)
        clips, freedom = _clips(cohort)
        if freedom < 1:
            what = "has one subject per source, so nothing can be said of others"
            raise BadInput(Problem(f"dataset {name}", what, "add subjects"))
        cells = [] if against is None else _same_clips(cohort, against)
        subjects, told_subjects = _subject_error(clips, cells, against)
        deviation, told_seeds = _seed_deviation(cells, against)
        of_seeds = seed_error(deviation, seeds)
        found.append(
            {
                "dataset": name,
                "clips": int(clips.sum()),
                "subjects": len(clips),
                "models": len(of.inputs),
                "seeds": seeds,
                "family": family,
                "subject_error": subjects,
                "subject_error_is": told_subjects,
                "seed_error": of_seeds,
                "seed_error_is": told_seeds,
                "detectable": detectable(float(np.hypot(subjects, of_seeds)), freedom, family),
                "detectable_with_endless_seeds": detectable(subjects, freedom, family),
            }
        )
    return {"metric": "uf1", "datasets": found}


def _clips(cohort: Cohort) -> tuple[Counts, int]:
    """Clips ``[subjects, classes]``, and how many subjects there are less one for each source."""
    subjects = sorted(set(cohort.subjects))
    clips = np.zeros((len(subjects), len(cohort.classes)), np.int64)
    for subject, label in zip(cohort.subjects, cohort.labels, strict=True):
        clips[subjects.index(subject), cohort.classes.index(label)] += 1
    return clips, len(subjects) - len({subject.split("/")[0] for subject in subjects})


def _same_clips(cohort: Cohort, against: Results) -> list[CellPredictions]:
    cells = [cell for cell in against.cells if cell.complete and cell.cohort.checksum == cohort.checksum]
    if len(cells) < 2:
        what = f"holds {len(cells)} complete models on the clips of {cohort.dataset}; two are needed"
        raise BadInput(Problem(against.name, what, "leave --against out to take assumed values"))
    return cells


def _subject_error(clips: Counts, cells: Sequence[CellPredictions], against: Results | None) -> tuple[float, str]:
    """Standard error of a difference by subjects, and where it is from."""
    if against is None:
        return assumed_error(clips), _ASSUMED_SUBJECTS
    rule, errors = against.plan.rule, []
    for first, second in combinations(cells, 2):
        pair = [cell.per_subject(rule).sum(0, keepdims=True) for cell in (first, second)]
        strata = next(iter(scopes(first).values())).strata
        errors.append(difference(pair[0], pair[1], strata, metrics.uf1).subject_error)
    known = [error for error in errors if error is not None]
    if not known:
        return assumed_error(clips), _ASSUMED_SUBJECTS
    return float(np.median(known)), f"measured: the median of {len(known)} pairs of models in {against.name}"


def _seed_deviation(cells: Sequence[CellPredictions], against: Results | None) -> tuple[float, str]:
    """Standard deviation of UF1 between the seeds of a model, and where it is from."""
    of_model = [
        metrics.uf1(cell.per_subject(against.plan.rule).sum(2)).mean(1).var(ddof=1)
        for cell in cells
        if against is not None and len(cell.seeds) > 1
    ]
    if against is None or not of_model:
        return SEED_SD, _ASSUMED_SEEDS
    told = f"measured: {len(of_model)} models with several seeds in {against.name}"
    return float(np.sqrt(np.mean(of_model))), told


def print_power(document: dict[str, Any], console: Console) -> None:
    """A table of :func:`power`, and what it means in words."""
    header = ("dataset", "clips", "subjects", "seeds", "comparisons", "seen from")
    cells = [
        (
            row["dataset"],
            *(str(row[name]) for name in ("clips", "subjects", "seeds", "family")),
            f"{row['detectable']:.3f}",
        )
        for row in document["datasets"]
    ]
    console.table("Differences of UF1 that can be seen", header, cells)
    for row in document["datasets"]:
        console.note(
            f"{row['dataset']}: a true difference of {row['detectable']:.3f} is found in four of five cases, with "
            f"{row['family']} comparisons at 5 %; more seeds bring it to {row['detectable_with_endless_seeds']:.3f} at "
            "best, only more subjects further."
        )
    for told in dict.fromkeys(row[f"{kind}_error_is"] for kind in ("subject", "seed") for row in document["datasets"]):
        console.note(told, dim=True)
