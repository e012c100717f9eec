"""The table: one row per model × dataset × configuration × scope, and the state of the jobs behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mer_data.problems import BadInput, Problem, did_you_mean
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import histories
from orchestrator.report.predictions import CellPredictions
from orchestrator.score import metrics
from orchestrator.score.bias_correction import corrected
from orchestrator.score.bootstrap import interval
from orchestrator.score.model_selection import RULES, Indices

HEADLINES = ("all", "mean")  # the scopes that stand for a whole cell


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
    """Jobs done, running, missing, failed and stale, with reasons, as ``mer status --json`` prints them.

    A job that is in the ledger is done, whatever was noted before; one with two different results has failed. Of a
    search, `missing` counts what it may still train; what its races made needless is `avoided`, and what failed in it
    is `rejected`: its configuration is out, and the table can be complete without it.
    """
    done, conflicts = ledger.ids(), set(ledger.conflicts())
    reasons = {job_id: reason for job_id, reason in ledger.failures().items() if job_id not in done}
    reasons |= dict.fromkeys(conflicts, f"two different results, see {ledger.root / 'conflicts'}")
    needed, known, searched = list(plan.jobs), {job.id for job in plan.jobs}, set()
    later, avoided, hopeless = 0, 0, 0  # hopeless: held out, but no configuration could be chosen
    for study, history in histories(plan, ledger.root.parent):
        folds = len(history.folds)
        for one in history.configurations:
            jobs = history.jobs(plan, study, one)
            known |= {job.id for job in jobs}
            raced = jobs if one.state == "running" else jobs[: one.folds + (one.state == "failed")]
            needed += raced
            searched |= {job.id for job in raced}
            avoided += folds - len(raced)
        finals = history.finals(plan, study)
        needed += finals
        known |= {job.id for job in finals}
        later += history.unproposed(study) * folds + (folds if history.chosen is None else 0)
        hopeless += folds - len(finals) if history.chosen is not None else 0
        avoided += 0 if not history.ended else (study.search.configurations - len(history.configurations)) * folds
    failed = [job for job in needed if job.id in reasons]
    finished = sum(job.id in done and job.id not in reasons for job in needed)
    return {
        "jobs": {
            "done": finished,
            "running": len(ledger.running() & known),
            "missing": len(needed) - finished - len(failed) + later,
            "failed": sum(job.id not in searched or job.id in conflicts for job in failed) + hopeless,
            "rejected": sum(job.id in searched and job.id not in conflicts for job in failed),
            "avoided": avoided,
            "stale": len(done - known),
        },
        "failures": [
            {"job": job.id, "model": job.model, "fold": _title(job), "reason": reasons[job.id]} for job in failed
        ],
    }


def _title(job: Job) -> str:
    return f"{job.dataset}: {job.held_out}" + (f" with {job.configuration}" if job.inner else "")


def scopes(one: CellPredictions, rule: str) -> dict[str, tuple[metrics.Counts, Indices]]:
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


def rows(scored: Sequence[CellPredictions], rule: str) -> list[dict[str, Any]]:
    """The rows that ``mer score --json`` prints: per cell the headline, then one per source or run.

    The confusion matrix is a sum over subjects, seeds and, in a ``mean`` row only, over runs; its scores are not
    those of that sum but the mean of the runs' own.

    Raises
    ------
    BadInput
        If a cell has no predictions under the rule.
    """
    for one in scored:
        if rule not in one.predicted:
            what = f"{one.cell.model} on {one.cell.dataset} has no predictions under the rule {rule}"
            raise BadInput(Problem("--rule", what, f"take one of {', '.join(one.predicted)}"))
    return [_row(one, scope, counts, strata) for one in scored for scope, (counts, strata) in scopes(one, rule).items()]


def _row(one: CellPredictions, scope: str, per_subject: metrics.Counts, strata: Indices) -> dict[str, Any]:
    pooled = per_subject.sum(2)  # [seeds, runs, true, predicted]
    total = pooled.sum((0, 1))
    there = metrics.classes_scored(total)
    loso = one.protocol == "loso"
    planned = [slot for slot in one.planned if scope in ("all", "mean", slot[0], slot[0].split("/")[0])]
    done = {(job.held_out, job.seed) for job in one.done}
    drawn = per_subject.reshape(-1, *per_subject.shape[2:])  # the metric is averaged over runs and seeds
    of_seed = metrics.uf1(pooled).mean(1)
    return {
        "model": one.cell.model,
        "dataset": one.cell.dataset,
        "protocol": one.protocol,
        "configuration": one.cell.configuration,
        "scope": scope,
        "clips": int(pooled.sum((2, 3)).max()) if scope != "mean" else max(len(set(ids)) for ids in one.clip_ids),
        "folds": len({held_out for held_out, seed in planned if (held_out, seed) in done}),
        "seeds": len(pooled),
        "jobs_done": sum(slot in done for slot in planned),
        "jobs_planned": len(planned),
        "complete": one.complete,
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
        "searched": one.searched is not None,
        "search": _search(one, strata) if scope == "all" and one.searched is not None else None,
    }


def _search(one: CellPredictions, strata: Indices) -> dict[str, Any] | None:
    """What a search tried, and beside the row's score the naive and the bias-corrected one; means over the seeds."""
    searched = one.searched
    if searched is None:
        return None
    naive: list[list[float]] = []
    honest: list[list[float]] = []
    for counts in searched.counts:
        best = counts[metrics.uf1(counts.sum(1)).argmax()]
        whole = best.sum(0)
        spread = interval(best[None], strata, metrics.uf1), interval(best[None], strata, metrics.uar)
        naive.append([float(metrics.uf1(whole)), float(metrics.uar(whole)), *spread[0], *spread[1]])
        of = [corrected(counts, strata, metrics.uf1, metric) for metric in (metrics.uf1, metrics.uar)]
        honest.append([of[0].value, of[1].value, *of[0].interval, *of[1].interval])
    return {
        "configurations": {name: getattr(searched, name) for name in ("proposed", "complete", "pruned", "failed")},
        "trainings": searched.trainings,
        "avoided": searched.avoided,
        "naive": _estimate(naive),
        "bbc": _estimate(honest),
    }


def _estimate(seeds: Sequence[Sequence[float]]) -> dict[str, Any]:
    uf1, uar, *ends = np.mean(seeds, axis=0).tolist()
    return {"uf1": uf1, "uar": uar, "uf1_interval": ends[:2], "uar_interval": ends[2:]}


def score_document(plan: Plan, ledger: Ledger, scored: Sequence[CellPredictions], rule: str) -> dict[str, Any]:
    """The document of ``mer score --json``."""
    state = status(plan, ledger)["jobs"]
    complete = not state["missing"] and not state["failed"]
    return {"rule": rule, "oracle": RULES[rule].oracle, "complete": complete, "rows": rows(scored, rule)}


def board(scored: Sequence[CellPredictions], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The leaderboard: each cell's headline row, with its oracle scores beside it, best first.

    Parameters
    ----------
    scored, document
        Cells, and their :func:`score_document` under the headline rule.
    """
    rule = document["rule"]
    whole = [row for row in document["rows"] if row["scope"] in HEADLINES]
    oracles = [name for name, rule in RULES.items() if rule.oracle]
    lines = [
        {**row, "rule": rule, "oracle": {name: headline(one.per_subject(name)[0]) for name in oracles}}
        for one, row in zip(scored, whole, strict=True)
    ]
    return sorted(lines, key=lambda line: (line["dataset"], -line["uf1"]))
