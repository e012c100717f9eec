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

HEADLINES = ("all", "mean")  # the scopes that stand for a whole cell


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
        The tested clips, per seed. A clip is tested once per run.
    runs
        The runs, by name: one for all folds, except under ``hde``, where each fold is a run of its own. Predictions of
        different runs are never pooled.
    run
        Run index per clip, per seed.
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
    runs: tuple[str, ...]
    run: tuple[Indices, ...]
    true: tuple[Indices, ...]
    predicted: Mapping[str, tuple[Indices, ...]]
    training_seconds: float

    def per_subject(self, rule: str) -> tuple[metrics.Counts, list[str]]:
        """Confusion matrices ``[seeds, runs, subjects, true, predicted]`` and the subjects, sorted."""
        subjects = sorted({self.cohort.subject_of[clip] for clips in self.clip_ids for clip in clips})
        position = {subject: index for index, subject in enumerate(subjects)}
        classes = len(self.cohort.classes)
        counts = np.zeros((len(self.clip_ids), len(self.runs), len(subjects), classes, classes), np.int64)
        for seed, clips in enumerate(self.clip_ids):
            rows = np.array([position[self.cohort.subject_of[clip]] for clip in clips])
            np.add.at(counts[seed], (self.run[seed], rows, self.true[seed], self.predicted[rule][seed]), 1)
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
        if _runs(plan, jobs, [job for job in jobs if job.id in done])
    ]


def _runs(plan: Plan, planned: Sequence[Job], done: Sequence[Job]) -> tuple[str, ...]:
    """What is pooled by itself. A run that lacks a seed has no place in a mean, where it would count as zero."""
    if plan.protocol != "hde":
        return ("all",) if done else ()
    missing = {job.held_out for job in set(planned) - set(done)}
    return tuple(run for run in dict.fromkeys(job.held_out for job in planned) if run not in missing)


def _score_cell(plan: Plan, ledger: Ledger, cell: Cell, planned: Sequence[Job], done: Sequence[Job]) -> Scored:
    cohort = plan.cohorts[cell.dataset]
    clip_ids, true, run, predicted = [], [], [], defaultdict(list)
    runs = _runs(plan, planned, done)
    done = [job for job in done if runs == ("all",) or job.held_out in runs]
    seconds = 0.0
    for seed in sorted({job.seed for job in done}):
        jobs = [job for job in done if job.seed == seed]
        results = [ledger.read(job.id) for job in jobs]
        lengths = [len(result.clip_ids) for result in results]
        ids = tuple(clip_id for result in results for clip_id in result.clip_ids)
        of_seed = Predictions(
            predicted=np.concatenate([result.logits.argmax(-1) for result in results], axis=1),
            true=np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in ids], np.int64),
            fold=np.repeat(np.arange(len(results)), lengths),
            classes=len(cohort.classes),
        )
        seconds += sum(result.seconds for result in results)
        clip_ids.append(ids)
        true.append(of_seed.true)
        run.append(np.repeat([0 if runs == ("all",) else runs.index(job.held_out) for job in jobs], lengths))
        for name, rule in RULES.items():
            predicted[name].append(rule.choose(of_seed))
    return Scored(
        cell=cell,
        protocol=plan.protocol,
        done=tuple(done),
        planned=tuple(planned),
        cohort=cohort,
        clip_ids=tuple(clip_ids),
        runs=runs,
        run=tuple(run),
        true=tuple(true),
        predicted={name: tuple(seeds) for name, seeds in predicted.items()},
        training_seconds=seconds,
    )


def scopes(one: Scored, rule: str) -> dict[str, tuple[metrics.Counts, Indices]]:
    """Per scope: per-subject matrices of its runs, and the source index of each subject.

    The first scope is the headline: ``all`` clips, or under ``hde`` the ``mean`` of the runs. Then come each run of
    ``hde``, else each source of a composite.
    """
    counts, subjects = one.per_subject(rule)
    sources = np.array([subject.split("/")[0] for subject in subjects])
    names, strata = np.unique(sources, return_inverse=True)
    if one.protocol == "hde":
        found = {"mean": (counts, strata)}
        for index, name in enumerate(one.runs):
            there = counts[:, index].sum((0, 2, 3)) > 0
            found[name] = (counts[:, index : index + 1, there], strata[there])
        return found
    found = {"all": (counts, strata)}
    if len(names) > 1:
        found |= {str(name): (counts[:, :, sources == name], strata[sources == name]) for name in names}
    return found


def headline(per_subject: metrics.Counts) -> dict[str, float]:
    """UF1, UAR and accuracy, pooled over subjects, mean over runs and seeds; from ``[seeds, runs, subjects, ., .]``."""
    pooled = per_subject.sum(2)
    return {
        "uf1": float(metrics.uf1(pooled).mean()),
        "uar": float(metrics.uar(pooled).mean()),
        "accuracy": float(metrics.accuracy(pooled).mean()),
    }


def rows(scored: Sequence[Scored], rule: str) -> list[dict[str, Any]]:
    """The rows that ``mer score --json`` prints: per cell the headline, then one per source or run.

    The confusion matrix is a sum over subjects, seeds and, in a ``mean`` row only, over runs; its scores are not
    those of that sum but the mean of the runs' own.
    """
    return [_row(one, scope, counts, strata) for one in scored for scope, (counts, strata) in scopes(one, rule).items()]


def _row(one: Scored, scope: str, per_subject: metrics.Counts, strata: Indices) -> dict[str, Any]:
    pooled = per_subject.sum(2)  # [seeds, runs, true, predicted]
    total = pooled.sum((0, 1))
    there = metrics.classes_scored(total)
    loso = one.protocol == "loso"
    planned = [job for job in one.planned if scope in ("all", "mean", job.held_out, job.held_out.split("/")[0])]
    drawn = per_subject.reshape(-1, *per_subject.shape[2:])  # the metric is averaged over runs and seeds
    of_seed = metrics.uf1(pooled).mean(1)
    return {
        "model": one.cell.model,
        "dataset": one.cell.dataset,
        "protocol": one.protocol,
        "configuration": one.cell.configuration,
        "scope": scope,
        "clips": int(pooled.sum((2, 3)).max()) if scope != "mean" else max(len(set(ids)) for ids in one.clip_ids),
        "folds": len({job.held_out for job in planned if job in one.done}),
        "seeds": len(pooled),
        "jobs_done": sum(job in one.done for job in planned),
        "jobs_planned": len(planned),
        "complete": len(one.done) == len(one.planned),
        **headline(per_subject),
        "weighted_f1": float(metrics.weighted_f1(pooled).mean()),
        "uf1_seed_sd": float(of_seed.std(ddof=1)) if len(pooled) > 1 else None,
        "uf1_interval": interval(drawn, strata, metrics.uf1),
        "uar_interval": interval(drawn, strata, metrics.uar),
        # A subject is a fold only where one subject is held out.
        "uf1_fold_mean": float(np.mean([metrics.fold_mean_uf1(s) for s in drawn])) if loso else None,
        "uar_fold_mean": float(np.mean([metrics.fold_mean_uar(s) for s in drawn])) if loso else None,
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
    """The leaderboard: each cell's headline row, with its oracle scores beside it, best first.

    Parameters
    ----------
    scored, table
        Cells, and their :func:`rows` under the headline rule.
    """
    whole = [row for row in table if row["scope"] in HEADLINES]
    oracles = [name for name, rule in RULES.items() if rule.oracle]
    lines = [
        {**row, "oracle": {name: headline(one.per_subject(name)[0]) for name in oracles}}
        for one, row in zip(scored, whole, strict=True)
    ]
    return sorted(lines, key=lambda line: (line["dataset"], -line["uf1"]))
