"""The table: ledger joined with labels, one row per model × dataset × configuration × scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mer_data.problems import BadInput, Problem, did_you_mean
from orchestrator.ledger import Ledger
from orchestrator.plan import Cohort, Job, Plan
from orchestrator.score import metrics
from orchestrator.score.bootstrap import interval
from orchestrator.score.rules import RULES, Indices, Predictions, Rule


@dataclass(frozen=True)
class Cell:
    """One model on one dataset in one configuration: what a row of the table is about."""

    model: str
    dataset: str
    configuration: str


@dataclass(frozen=True)
class Scored:
    """A cell's predictions under every rule, for the folds that are done.

    Attributes
    ----------
    cell
        What was run.
    folds_done, folds
        Finished and planned folds, over all seeds.
    cohort
        Clips and labels.
    clip_ids
        The tested clips, per seed.
    true
        Class index per clip, per seed.
    predicted
        By rule name: class index per clip, per seed.
    training_seconds
        Sum over the finished folds.
    """

    cell: Cell
    folds_done: int
    folds: int
    cohort: Cohort
    clip_ids: tuple[tuple[str, ...], ...]
    true: tuple[Indices, ...]
    predicted: Mapping[str, tuple[Indices, ...]]
    training_seconds: float

    def per_subject(self, rule: str) -> tuple[metrics.Counts, list[str]]:
        """Confusion matrices ``[seeds, subjects, true, predicted]`` and the subjects, sorted."""
        subjects = sorted({self.cohort.subject_of[clip] for clips in self.clip_ids for clip in clips})
        position = {subject: index for index, subject in enumerate(subjects)}
        classes = len(self.cohort.classes)
        counts = np.zeros((len(self.clip_ids), len(subjects), classes, classes), np.int64)
        for seed, clips in enumerate(self.clip_ids):
            rows = [position[self.cohort.subject_of[clip]] for clip in clips]
            np.add.at(counts[seed], (np.array(rows), self.true[seed], self.predicted[rule][seed]), 1)
        return counts, subjects


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


def status(plan: Plan, ledger: Ledger) -> dict[str, Any]:
    """Jobs done, missing, failed and stale, with reasons, as ``mer status --json`` prints them."""
    done, failures = ledger.ids(), ledger.failures()
    failed = [job for job in plan.jobs if job.id in failures]
    missing = [job for job in plan.jobs if job.id not in done and job.id not in failures]
    return {
        "jobs": {
            "done": sum(job.id in done and job.id not in failures for job in plan.jobs),
            "missing": len(missing),
            "failed": len(failed),
            "stale": len(done - set(plan.job)),
        },
        "failures": [
            {
                "job": job.id,
                "model": job.model,
                "fold": f"{job.dataset}: {job.held_out}",
                "reason": failures[job.id],
            }
            for job in failed
        ],
    }


def score_cells(plan: Plan, ledger: Ledger, *, partial: bool) -> list[Scored]:
    """Join ledger and labels.

    Raises
    ------
    BadInput
        If jobs are missing and `partial` is not set, or if results of a job disagree.
    """
    conflicts = [job_id for job_id in ledger.conflicts() if job_id in plan.job]
    if conflicts:
        what = f"{len(conflicts)} jobs have two different results, first {conflicts[0]}"
        raise BadInput(Problem(str(ledger.root), what, "delete both results of a job and run it again"))
    done = ledger.ids()
    missing = sum(job.id not in done for job in plan.jobs)
    if missing and not partial:
        what = f"{missing} of {len(plan.jobs)} folds are missing, so the table is not complete"
        raise BadInput(Problem(str(ledger.root.parent), what, "run the experiment again, or add --partial"))
    cells: defaultdict[Cell, list[Job]] = defaultdict(list)
    for job in plan.jobs:
        cells[Cell(job.model, job.dataset, job.configuration)].append(job)
    return [
        _score_cell(plan, ledger, cell, jobs, done)
        for cell, jobs in cells.items()
        if any(job.id in done for job in jobs)
    ]


def _score_cell(plan: Plan, ledger: Ledger, cell: Cell, jobs: Sequence[Job], done: set[str]) -> Scored:
    cohort = plan.cohorts[cell.dataset]
    finished = [job for job in jobs if job.id in done]
    clip_ids, true, predicted = [], [], defaultdict(list)
    seconds = 0.0
    for seed in sorted({job.seed for job in finished}):
        results = [ledger.read(job.id) for job in finished if job.seed == seed]
        ids = tuple(clip_id for result in results for clip_id in result.clip_ids)
        of_seed = Predictions(
            predicted=np.concatenate([result.logits.argmax(-1) for result in results], axis=1),
            true=np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in ids], np.int64),
            fold=np.repeat(np.arange(len(results)), [len(result.clip_ids) for result in results]),
            classes=len(cohort.classes),
        )
        seconds += sum(result.seconds for result in results)
        clip_ids.append(ids)
        true.append(of_seed.true)
        for name, rule in RULES.items():
            predicted[name].append(rule.choose(of_seed))
    by_rule = {name: tuple(seeds) for name, seeds in predicted.items()}
    return Scored(cell, len(finished), len(jobs), cohort, tuple(clip_ids), tuple(true), by_rule, seconds)


def rows(scored: Sequence[Scored], rule: Rule) -> list[dict[str, Any]]:
    """The rows that ``mer score --json`` prints: per cell one for all clips, and one per source of a composite."""
    table = []
    for one in scored:
        counts, subjects = one.per_subject(rule.name)
        sources = [subject.split("/")[0] for subject in subjects]
        scopes = ["all", *sorted(set(sources))] if len(set(sources)) > 1 else ["all"]
        strata = np.unique(sources, return_inverse=True)[1]
        for scope in scopes:
            members = np.array([scope in ("all", source) for source in sources])
            table.append(_row(one, scope, counts[:, members], strata[members]))
    return table


def _row(one: Scored, scope: str, per_subject: metrics.Counts, strata: Indices) -> dict[str, Any]:
    pooled = per_subject.sum(1)  # [seeds, true, predicted]
    total = pooled.sum(0)
    scored = metrics.classes_scored(total)
    return {
        "model": one.cell.model,
        "dataset": one.cell.dataset,
        "protocol": "loso",
        "configuration": one.cell.configuration,
        "scope": scope,
        "clips": int(pooled[0].sum()),
        "folds": int((per_subject[0].sum((1, 2)) > 0).sum()),
        "planned": len(set(one.cohort.subjects)),
        "seeds": len(pooled),
        "complete": one.folds_done == one.folds,
        "uf1": float(metrics.uf1(pooled).mean()),
        "uar": float(metrics.uar(pooled).mean()),
        "accuracy": float(metrics.accuracy(pooled).mean()),
        "weighted_f1": float(metrics.weighted_f1(pooled).mean()),
        "uf1_seed_sd": float(metrics.uf1(pooled).std(ddof=1)) if len(pooled) > 1 else None,
        "uf1_interval": interval(per_subject, strata, metrics.uf1),
        "uar_interval": interval(per_subject, strata, metrics.uar),
        "uf1_fold_mean": float(np.mean([metrics.fold_mean_uf1(seed) for seed in per_subject])),
        "uar_fold_mean": float(np.mean([metrics.fold_mean_uar(seed) for seed in per_subject])),
        "classes": list(one.cohort.classes),
        "classes_scored": [name for name, there in zip(one.cohort.classes, scored, strict=True) if there],
        "confusion": total.tolist(),
    }


def score_document(plan: Plan, ledger: Ledger, rule: str, *, partial: bool) -> dict[str, Any]:
    """The document of ``mer score --json``.

    Raises
    ------
    BadInput
        As :func:`score_cells`.
    """
    scored = score_cells(plan, ledger, partial=partial)
    complete = all(job.id in ledger.ids() for job in plan.jobs)
    return {
        "rule": rule,
        "oracle": RULES[rule].oracle,
        "complete": complete,
        "rows": rows(scored, RULES[rule]),
    }


def board(plan: Plan, ledger: Ledger, *, partial: bool) -> list[dict[str, Any]]:
    """The leaderboard: the honest scores of each cell over all its clips, the oracle scores beside them, best first.

    Raises
    ------
    BadInput
        As :func:`score_cells`.
    """
    scored = score_cells(plan, ledger, partial=partial)
    by_rule = {name: [row for row in rows(scored, rule) if row["scope"] == "all"] for name, rule in RULES.items()}
    lines = []
    for index, row in enumerate(by_rule[plan.rule]):
        oracle = {name: by_rule[name][index] for name, rule in RULES.items() if rule.oracle}
        lines.append({**row, "oracle": {name: {"uf1": r["uf1"], "uar": r["uar"]} for name, r in oracle.items()}})
    return sorted(lines, key=lambda line: (line["dataset"], -line["uf1"]))
