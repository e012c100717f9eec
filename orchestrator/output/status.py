"""How far the jobs of an output folder are."""

from __future__ import annotations

from typing import Any

from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.running import read_running
from orchestrator.output.search_history import divisions_of, histories


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
