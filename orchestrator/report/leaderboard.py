"""The table: one row per model × dataset × configuration × scope, and the state of the jobs behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mer_data.problems import BadInput, Problem, did_you_mean
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import divisions_of, histories
from orchestrator.report.predictions import CellPredictions
from orchestrator.report.searches import Searched
from orchestrator.score import metrics
from orchestrator.score.bias_correction import corrected as correct
from orchestrator.score.bootstrap import interval
from orchestrator.score.model_selection import RULES, Indices

HEADLINES = ("all", "mean")  # the scopes that stand for a whole cell
FEW_SEEDS = 5  # with fewer, the lowest and the highest say more than a deviation
ORACLES = [name for name, rule in RULES.items() if rule.oracle]
_METRICS = (metrics.uf1, metrics.uar)


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
        divisions = divisions_of(plan, study)
        for tried in history.configurations:
            jobs = history.jobs(plan, study, tried)
            known |= {job.id for job in jobs}
            raced = jobs if tried.state == "running" else jobs[: tried.divisions + (tried.state == "failed")]
            needed += raced
            searched |= {job.id for job in raced}
            avoided += divisions - len(raced)
        finals = history.finals(plan, study)
        needed += finals
        known |= {job.id for job in finals}
        later += history.unproposed(study) * divisions + (0 if history.closed else len(history.group))
        hopeless += len(history.group) - len(finals) if history.closed else 0
        unproposed = study.search.configurations - len(history.configurations)
        avoided += unproposed * divisions if history.ended else 0
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
    of_search = "" if job.division is None else f", division {job.division + 1} of its search with {job.configuration}"
    return f"{job.dataset}: {job.held_out}{of_search}"


def scopes(cell: CellPredictions, rule: str) -> dict[str, tuple[metrics.Counts, Indices]]:
    """Per scope: per-subject matrices of its runs, and the source index of each subject.

    The first scope is the headline: ``all`` clips, or under ``hde`` the ``mean`` of the runs. Then come each run of
    ``hde``, else each source of a composite.
    """
    counts, subjects = cell.per_subject(rule)
    sources = np.array([subject.split("/")[0] for subject in subjects])
    names, strata = np.unique(sources, return_inverse=True)
    if cell.protocol == "hde":
        found = {"mean": (counts, strata)}
        for index, name in enumerate(cell.runs):
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
    for cell in scored:
        if rule not in cell.predicted:
            what = f"{cell.cell.model} on {cell.cell.dataset} has no predictions under the rule {rule}"
            raise BadInput(Problem("--rule", what, f"take one of {', '.join(cell.predicted)}"))
    return [_row(cell, scope, counts, of) for cell in scored for scope, (counts, of) in scopes(cell, rule).items()]


def _row(cell: CellPredictions, scope: str, per_subject: metrics.Counts, strata: Indices) -> dict[str, Any]:
    pooled = per_subject.sum(2)  # [seeds, runs, true, predicted]
    total = pooled.sum((0, 1))
    there = metrics.classes_scored(total)
    loso = cell.protocol == "loso"
    planned = [slot for slot in cell.planned if scope in ("all", "mean", slot[0], slot[0].split("/")[0])]
    done = {(job.held_out, job.seed) for job in cell.done}
    drawn = per_subject.reshape(-1, *per_subject.shape[2:])  # the metric is averaged over runs and seeds
    of_seed = metrics.uf1(pooled).mean(1)
    return {
        "model": cell.cell.model,
        "dataset": cell.cell.dataset,
        "protocol": cell.protocol,
        "configuration": cell.cell.configuration,
        "scope": scope,
        "clips": int(pooled.sum((2, 3)).max()) if scope != "mean" else max(len(set(ids)) for ids in cell.clip_ids),
        "subjects": len(strata),
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
        "uf1_interval": interval(drawn, strata, metrics.uf1),
        "uar_interval": interval(drawn, strata, metrics.uar),
        # A subject is a fold only where one subject is held out.
        "uf1_fold_mean": float(np.mean([metrics.fold_mean_uf1(s) for s in drawn])) if loso else None,
        "uar_fold_mean": float(np.mean([metrics.fold_mean_uar(s) for s in drawn])) if loso else None,
        "classes": list(cell.cohort.classes),
        "classes_scored": [name for name, present in zip(cell.cohort.classes, there, strict=True) if present],
        "confusion": total.tolist(),
        "clip_list": cell.cohort.checksum,
        "missing_clips": len(cell.cohort.missing),
        "searched": cell.searched is not None,
        "search": _search(cell.searched, cell.cohort) if scope in HEADLINES and cell.searched is not None else None,
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


def score_document(plan: Plan, ledger: Ledger, scored: Sequence[CellPredictions], rule: str) -> dict[str, Any]:
    """The document of ``mer score --json``."""
    state = status(plan, ledger)["jobs"]
    complete = not state["missing"] and not state["failed"]
    return {"rule": rule, "oracle": RULES[rule].oracle, "complete": complete, "rows": rows(scored, rule)}


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
    return headline(cell.per_subject(rule)[0]) if cell.several_epochs else None
