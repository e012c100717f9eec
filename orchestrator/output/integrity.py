"""Whether an output folder holds what was written there: plan, folds, results, searches and weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mer_data.files import names_in, read
from mer_data.problems import Problem
from mer_data.storage.integrity import Integrity
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory, table_jobs
from orchestrator.output.weights import read_card, weights_file

_TRAINED_AGAIN = "run the same experiment again: they are made anew"
_AGAIN = "run the same experiment again: it is written anew"


def check_output(folder: Path) -> Integrity:
    """Read everything that decides a number of an output folder, and compare it with its checksums."""
    found = Integrity()
    plan = found.look(lambda: Plan.load(folder / "plan.json"), folder / "plan.json")
    ledger = Ledger(folder / "ledger")
    for job_id in sorted(ledger.ids()):
        found.look(partial(ledger.read, job_id), ledger.root / f"{job_id}.arrow")
    found.look(ledger.failures)
    _remarks(ledger, folder, found)
    if plan is not None:
        _of_plan(plan, folder, found)
    return found


def _remarks(ledger: Ledger, folder: Path, found: Integrity) -> None:
    right = found.look(ledger.set_aside) or {}
    missed = [result.job_id for result in right.values() if not ledger.has(result.job_id)]
    if missed:
        what = f"{len(missed)} results in {ledger.root / 'damaged'} are right"
        found.remarks.append(f"{what}: `mer verify --restore {folder}` takes them back")
    if conflicts := ledger.conflicts():
        found.remarks.append(f"{len(conflicts)} jobs have two results that differ, in {ledger.root / 'conflicts'}")


def _of_plan(plan: Plan, folder: Path, found: Integrity) -> None:
    """Folds, searches and weights."""
    for name, text in plan.split_files().items():
        path = folder / name
        written = found.look(partial(read, path, partial(path.read_text, encoding="utf-8"), _AGAIN))
        if written not in (None, text):
            found.problems.append(Problem(str(path), "is not what follows from plan.json", _AGAIN))
    begun = set(names_in(folder / "search"))
    for study in plan.studies:
        paths = [folder / "search" / f"{study.name}.json"] if f"{study.name}.json" in begun else []
        found.look(partial(SearchHistory.load, folder, plan, study), *paths)
    if found.problems:
        return  # which weights there should be follows from what searches chose
    for job in table_jobs(plan, folder):
        path = weights_file(folder / "weights", job)
        if plan.keeps_weights(job) and path.exists():
            card = found.look(partial(read_card, path, _TRAINED_AGAIN), path)
            if card is not None and (card.trained_on is None or card.trained_on.job != job.id):
                found.problems.append(Problem(str(path), "holds the weights of another job", _TRAINED_AGAIN))
