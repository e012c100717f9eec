"""The rows of the table: one per model × dataset × configuration × scope."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from mer_data.problems import BadInput, Problem
from orchestrator.experiment.cohort import Cohort
from orchestrator.report import row_details
from orchestrator.report.predictions import CellPredictions
from orchestrator.report.row_details import Scope
from orchestrator.report.searches import Searched
from orchestrator.score import metrics
from orchestrator.score.bias_correction import corrected as correct
from orchestrator.score.bootstrap import interval, intervals
from orchestrator.score.model_selection import RULES

HEADLINES = ("all", "mean")  # the scopes that stand for a whole cell
FEW_SEEDS = 5  # with fewer, the lowest and the highest say more than a deviation
_METRICS = (metrics.uf1, metrics.uar)


def scopes(cell: CellPredictions) -> dict[str, Scope]:
    """What a row is about, by name: runs and subjects of a cell.

    The first scope is the headline: ``all`` clips, or under ``hde`` the ``mean`` of the runs. Then come each run of
    ``hde``, else each source of a composite.
    """
    sources = np.array([subject.split("/")[0] for subject in cell.subjects])
    names, strata = np.unique(sources, return_inverse=True)
    everybody = np.ones(len(sources), np.bool_)
    if cell.protocol == "hde":
        found = {"mean": Scope(range(len(cell.runs)), everybody, strata)}
        for run, name in enumerate(cell.runs):
            there = cell.tested[run].sum(-1) > 0
            found[name] = Scope([run], there, strata[there])
        return found
    found = {"all": Scope([0], everybody, strata)}
    if len(names) > 1:
        found |= {str(name): Scope([0], sources == name, strata[sources == name]) for name in names}
    return found


def headline(per_subject: metrics.Counts) -> dict[str, float]:
    """UF1, UAR and accuracy, pooled over subjects, mean over runs and seeds; from ``[seeds, runs, subjects, ., .]``."""
    pooled = per_subject.sum(2)
    return {
        "uf1": float(metrics.uf1(pooled).mean()),
        "uar": float(metrics.uar(pooled).mean()),
        "accuracy": float(metrics.accuracy(pooled).mean()),
    }


def rows(scored: Sequence[CellPredictions], rule: str) -> list[dict[str, Any]]:
    """The rows that ``mer score --json`` prints: per cell the headline, then one per source or run.

    The confusion matrix is a sum over subjects, seeds and, in a ``mean`` row only, over runs; its scores are not
    those of that sum but the mean of the runs' own.

    Raises
    ------
    BadInput
        If a cell has no predictions under the rule.
    """
    for cell in scored:
        if rule not in cell.predicted:
            what = f"{cell.cell.model} on {cell.cell.dataset} has no predictions under the rule {rule}"
            raise BadInput(Problem("--rule", what, f"take one of {', '.join(cell.predicted)}"))
    found = []
    for cell in scored:
        counts = cell.per_subject(rule)
        found += [_row(cell, rule, name, scope, counts) for name, scope in scopes(cell).items()]
    return found


def _row(cell: CellPredictions, rule: str, name: str, scope: Scope, counts: metrics.Counts) -> dict[str, Any]:
    per_subject = scope.of(counts)
    pooled = per_subject.sum(2)  # [seeds, runs, true, predicted]
    total = pooled.sum((0, 1))
    there = metrics.classes_scored(total)
    loso, honest = cell.protocol == "loso", not RULES[rule].oracle
    planned = [slot for slot in cell.planned if name in ("all", "mean", slot[0], slot[0].split("/")[0])]
    done = {(job.held_out, job.seed) for job in cell.done}
    drawn = per_subject.reshape(-1, *per_subject.shape[2:])  # the metric is averaged over runs and seeds
    of_class = [partial(row_details.f1_of, index) for index in range(len(cell.cohort.classes))]
    ends: Sequence[Any] = intervals(drawn, scope.strata, [*_METRICS, *of_class]) or [None] * (2 + len(of_class))
    of_seed = metrics.uf1(pooled).mean(1)
    return {
        "model": cell.cell.model,
        "dataset": cell.cell.dataset,
        "protocol": cell.protocol,
        "configuration": cell.cell.configuration,
        "scope": name,
        "clips": int(cell.tested.max(0)[scope.subjects].sum()),
        "subjects": len(scope.strata),
        "folds": len({held_out for held_out, seed in planned if (held_out, seed) in done}),
        "seeds": len(pooled),
        "jobs_done": sum(slot in done for slot in planned),
        "jobs_planned": len(planned),
        "complete": cell.complete,
        **headline(per_subject),
        "weighted_f1": float(metrics.weighted_f1(pooled).mean()),
        # A spread of one seed is unknown, and a deviation of two or three says nothing.
        "uf1_seed_range": [float(of_seed.min()), float(of_seed.max())] if len(pooled) > 1 else None,
        "uf1_seed_sd": float(of_seed.std(ddof=1)) if len(pooled) >= FEW_SEEDS else None,
        "uf1_interval": ends[0],
        "uar_interval": ends[1],
        "above_chance": row_details.above_chance(cell, scope, per_subject) if honest else None,
        "chance_interval": row_details.chance_interval(cell, scope),
        # A subject is a fold only where one subject is held out.
        "uf1_fold_mean": float(np.mean([metrics.fold_mean_uf1(s) for s in drawn])) if loso else None,
        "uar_fold_mean": float(np.mean([metrics.fold_mean_uar(s) for s in drawn])) if loso else None,
        "classes": list(cell.cohort.classes),
        "classes_scored": [name for name, present in zip(cell.cohort.classes, there, strict=True) if present],
        "confusion": total.tolist(),
        "per_seed": row_details.per_seed(cell, pooled),
        "per_class": row_details.per_class(cell, scope, pooled, ends[2:]),
        "ensemble": row_details.ensemble(cell, scope) if honest else None,
        "calibration": row_details.calibration(cell, scope) if honest else None,
        "clip_list": cell.cohort.checksum,
        "missing_clips": len(cell.cohort.missing),
        "searched": cell.searched is not None,
        "search": _search(cell.searched, cell.cohort) if name in HEADLINES and cell.searched is not None else None,
    }


def _search(searched: Searched, cohort: Cohort) -> dict[str, Any]:
    """What a search tried, and beside the row's score the naive and the bias-corrected one; means over the seeds."""
    sources = [subject.split("/")[0] for subject in sorted(set(cohort.subjects))]
    _, strata = np.unique(sources, return_inverse=True)
    naive, honest = [], []
    for counts in searched.counts:
        best = counts[metrics.uf1(counts.sum(1)).argmax()]
        naive.append([(float(m(best.sum(0))), interval(best[None], strata, m)) for m in _METRICS])
        corrected = [correct(counts, strata, metrics.uf1, metric) for metric in _METRICS]
        honest.append([None if found is None else (found.value, found.interval) for found in corrected])
    few = searched.counts and _estimate(honest) is None
    return {
        "configurations": {name: getattr(searched, name) for name in ("proposed", "complete", "pruned", "failed")},
        "groups": searched.groups,
        "trainings": searched.trainings,
        "avoided": searched.avoided,
        "naive": _estimate(naive),
        "bbc": _estimate(honest),
        "unavailable": "too few subjects to correct for the choice" if few else searched.why_not,
    }


def _estimate(seeds: Sequence[Sequence[Any]]) -> dict[str, Any] | None:
    """Mean over the seeds of UF1 and UAR and of the ends of their intervals; None if one is not known."""
    if not seeds or any(found is None or found[1] is None for of_seed in seeds for found in of_seed):
        return None
    values = np.mean([[found[0] for found in of_seed] for of_seed in seeds], axis=0).tolist()
    ends = np.mean([[found[1] for found in of_seed] for of_seed in seeds], axis=0).tolist()
    return {"uf1": values[0], "uar": values[1], "uf1_interval": ends[0], "uar_interval": ends[1]}
