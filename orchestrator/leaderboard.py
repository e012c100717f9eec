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
from orchestrator.score.rules import RULES, Indices, Predictions


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
    protocol
        Its protocol.
    done, planned
        Jobs, over all seeds.
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
    protocol: str
    done: tuple[Job, ...]
    planned: tuple[Job, ...]
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
    """Jobs done, missing, failed and stale, with reasons, as ``mer status --json`` prints them.

    A job that is in the ledger is done, whatever was noted before; one with two different results has failed.
    """
    done, conflicts = ledger.ids(), set(ledger.conflicts())
    reasons = {job_id: reason for job_id, reason in ledger.failures().items() if job_id not in done}
    reasons |= dict.fromkeys(conflicts, f"two different results, see {ledger.root / 'conflicts'}")
    failed = [job for job in plan.jobs if job.id in reasons]
    finished = sum(job.id in done and job.id not in reasons for job in plan.jobs)
    return {
        "jobs": {
            "done": finished,
            "missing": len(plan.jobs) - finished - len(failed),
            "failed": len(failed),
            "stale": len(done - set(plan.job)),
        },
        "failures": [
            {"job": job.id, "model": job.model, "fold": f"{job.dataset}: {job.held_out}", "reason": reasons[job.id]}
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
        one = f"{ledger.root}/{conflicts[0]}.arrow and {ledger.root}/conflicts/{conflicts[0]}.*"
        what = f"{len(conflicts)} jobs have two different results"
        raise BadInput(Problem(str(ledger.root), what, f"delete both results of each, {one}, and run again"))
    done = ledger.ids()
    missing = sum(job.id not in done for job in plan.jobs)
    if missing and not partial:
        what = f"{missing} of {len(plan.jobs)} folds are missing, so the table is not complete"
        raise BadInput(Problem(str(ledger.root.parent), what, "run the experiment again, or add --partial"))
    cells: defaultdict[Cell, list[Job]] = defaultdict(list)
    for job in plan.jobs:
        cells[Cell(job.model, job.dataset, job.configuration)].append(job)
    return [
        _score_cell(plan, ledger, cell, jobs, [job for job in jobs if job.id in done])
        for cell, jobs in cells.items()
        if any(job.id in done for job in jobs)
    ]


def _score_cell(plan: Plan, ledger: Ledger, cell: Cell, planned: Sequence[Job], done: Sequence[Job]) -> Scored:
    cohort = plan.cohorts[cell.dataset]
    clip_ids, true, predicted = [], [], defaultdict(list)
    seconds = 0.0
    for seed in sorted({job.seed for job in done}):
        results = [ledger.read(job.id) for job in done if job.seed == seed]
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
    return Scored(
        cell=cell,
        protocol=plan.protocol,
        done=tuple(done),
        planned=tuple(planned),
        cohort=cohort,
        clip_ids=tuple(clip_ids),
        true=tuple(true),
        predicted={name: tuple(seeds) for name, seeds in predicted.items()},
        training_seconds=seconds,
    )


def scopes(one: Scored, rule: str) -> dict[str, tuple[metrics.Counts, Indices]]:
    """Per scope, ``all`` and each source of a composite: per-subject matrices and the source index of each subject."""
    counts, subjects = one.per_subject(rule)
    sources = np.array([subject.split("/")[0] for subject in subjects])
    names, strata = np.unique(sources, return_inverse=True)
    found = {"all": (counts, strata)}
    if len(names) > 1:
        found |= {str(name): (counts[:, sources == name], strata[sources == name]) for name in names}
    return found


def headline(per_subject: metrics.Counts) -> dict[str, float]:
    """UF1, UAR and accuracy, pooled over subjects, mean over seeds; from ``[seeds, subjects, true, predicted]``."""
    pooled = per_subject.sum(1)
    return {
        "uf1": float(metrics.uf1(pooled).mean()),
        "uar": float(metrics.uar(pooled).mean()),
        "accuracy": float(metrics.accuracy(pooled).mean()),
    }


def rows(scored: Sequence[Scored], rule: str) -> list[dict[str, Any]]:
    """The rows that ``mer score --json`` prints: per cell one for all clips, and one per source of a composite."""
    return [_row(one, scope, counts, strata) for one in scored for scope, (counts, strata) in scopes(one, rule).items()]


def _row(one: Scored, scope: str, per_subject: metrics.Counts, strata: Indices) -> dict[str, Any]:
    pooled = per_subject.sum(1)  # [seeds, true, predicted]
    total = pooled.sum(0)
    there = metrics.classes_scored(total)
    loso = one.protocol == "loso"
    planned = [job for job in one.planned if scope in ("all", job.held_out.split("/")[0])]
    return {
        "model": one.cell.model,
        "dataset": one.cell.dataset,
        "protocol": one.protocol,
        "configuration": one.cell.configuration,
        "scope": scope,
        "clips": int(pooled.sum((1, 2)).max()),
        "folds": len({job.held_out for job in planned if job in one.done}),
        "seeds": len(pooled),
        "jobs_done": sum(job in one.done for job in planned),
        "jobs_planned": len(planned),
        "complete": len(one.done) == len(one.planned),
        **headline(per_subject),
        "weighted_f1": float(metrics.weighted_f1(pooled).mean()),
        "uf1_seed_sd": float(metrics.uf1(pooled).std(ddof=1)) if len(pooled) > 1 else None,
        "uf1_interval": interval(per_subject, strata, metrics.uf1),
        "uar_interval": interval(per_subject, strata, metrics.uar),
        # A subject is a fold only where one subject is held out.
        "uf1_fold_mean": float(np.mean([metrics.fold_mean_uf1(s) for s in per_subject])) if loso else None,
        "uar_fold_mean": float(np.mean([metrics.fold_mean_uar(s) for s in per_subject])) if loso else None,
        "classes": list(one.cohort.classes),
        "classes_scored": [name for name, present in zip(one.cohort.classes, there, strict=True) if present],
        "confusion": total.tolist(),
        "clip_list": one.cohort.checksum,
        "missing_clips": len(one.cohort.missing),
    }


def score_document(plan: Plan, ledger: Ledger, scored: Sequence[Scored], rule: str) -> dict[str, Any]:
    """The document of ``mer score --json``."""
    complete = all(job.id in ledger.ids() for job in plan.jobs)
    return {"rule": rule, "oracle": RULES[rule].oracle, "complete": complete, "rows": rows(scored, rule)}


def board(scored: Sequence[Scored], table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The leaderboard: each cell's row over all clips, with its oracle scores beside it, best first.

    Parameters
    ----------
    scored, table
        Cells, and their :func:`rows` under the headline rule.
    """
    whole = [row for row in table if row["scope"] == "all"]
    oracles = [name for name, rule in RULES.items() if rule.oracle]
    lines = [
        {**row, "oracle": {name: headline(one.per_subject(name)[0]) for name in oracles}}
        for one, row in zip(scored, whole, strict=True)
    ]
    return sorted(lines, key=lambda line: (line["dataset"], -line["uf1"]))
