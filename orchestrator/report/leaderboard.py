"""The table with the state of the jobs behind it, and the leaderboard: its headline rows, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mer_data.problems import BadInput, Problem, did_you_mean
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.running import read_running
from orchestrator.output.search_history import divisions_of, histories
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


def status(plan: Plan, ledger: Ledger) -> dict[str, Any]:
    """Jobs done, running, missing, failed and stale, what runs and why others failed: ``mer status --json``.

    A job that is in the ledger is done, whatever was noted before; one with two different results has failed. Of a
    search, `missing` counts what it may still train; what its races made needless is `avoided`, and what failed in it
    is `rejected`: its configuration is out, and the table can be complete without it.
    """
    done, conflicts = ledger.ids(), set(ledger.conflicts())
    reasons = {job_id: reason for job_id, reason in ledger.failures().items() if job_id not in done}
    reasons |= dict.fromkeys(conflicts, f"two different results, see {ledger.root / 'conflicts'}")
    needed, known, searched = list(plan.jobs), {job.id: job for job in plan.jobs}, set()
    later, avoided, hopeless = 0, 0, 0  # hopeless: held out, but no configuration could be chosen
    for study, history in histories(plan, ledger.root.parent):
        divisions = divisions_of(plan, study)
        for tried in history.configurations:
            jobs = history.jobs(plan, study, tried)
            known |= {job.id: job for job in jobs}
            raced = jobs if tried.state == "running" else jobs[: tried.divisions + (tried.state == "failed")]
            needed += raced
            searched |= {job.id for job in raced}
            avoided += divisions - len(raced)
        finals = history.finals(plan, study)
        needed += finals
        known |= {job.id: job for job in finals}
        later += history.unproposed(study) * divisions + (0 if history.closed else len(history.group))
        hopeless += len(history.group) - len(finals) if history.closed else 0
        unproposed = study.search.configurations - len(history.configurations)
        avoided += unproposed * divisions if history.ended else 0
    running = ledger.running() & known.keys()
    failed = [job for job in needed if job.id in reasons]
    finished = sum(job.id in done and job.id not in reasons for job in needed)
    return {
        "jobs": {
            "done": finished,
            "running": len(running),
            "missing": len(needed) - finished - len(failed) + later,
            "failed": sum(job.id not in searched or job.id in conflicts for job in failed) + hopeless,
            "rejected": sum(job.id in searched and job.id not in conflicts for job in failed),
            "avoided": avoided,
            "stale": len(done - known.keys()),
        },
        "running": [
            {"job": job_id, "model": known[job_id].model, "fold": _title(known[job_id]), **vars(how_far)}
            for job_id, how_far in read_running(ledger.root, running).items()
        ],
        "failures": [
            {"job": job.id, "model": job.model, "fold": _title(job), "reason": reasons[job.id]} for job in failed
        ],
    }


def _title(job: Job) -> str:
    of_search = "" if job.division is None else f", division {job.division + 1} of its search with {job.configuration}"
    return f"{job.dataset}: {job.held_out}{of_search}"


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
