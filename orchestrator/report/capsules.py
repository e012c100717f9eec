"""Results as a capsule: made from an output folder, or joined from others'."""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from mer_data.files import write_json
from mer_data.problems import BadInput, Problem
from orchestrator.console import Console
from orchestrator.experiment.plan import JOB_VERSION, Plan
from orchestrator.machines.code_version import what_runs
from orchestrator.output.capsule import SUFFIX, write_capsule
from orchestrator.output.ledger import Ledger
from orchestrator.output.results import is_capsule, open_results
from orchestrator.output.search_history import all_jobs, histories, note_failures
from orchestrator.output.thinning import deciding_epochs, thinned
from orchestrator.report.leaderboard import score_document
from orchestrator.report.predictions import score_cells


def make_capsule(address: str, to: Path, console: Console, *, every: int, partial: bool) -> None:
    """Write the results of an output folder into a capsule. The same results give the same bytes.

    Parameters
    ----------
    address
        The output folder, or its address in object storage.
    to
        The capsule; one that is there is replaced.
    console
        Where the progress of fetching from object storage goes.
    every
        Of the epochs that a fold kept, every so many and the last go into the capsule, and of those that a search's
        training kept, the ones by which it was judged. 1 takes all.
    partial
        Whether folds may be missing.

    Raises
    ------
    BadInput
        If the folder holds no results or folds are missing, if `to` is not named as capsules are, or if there is more
        than a capsule may hold.
    """
    if is_capsule(address):
        raise BadInput(Problem(address, "is a capsule, or no output folder", "give the output folder of `mer run`"))
    refuse_other_names(to)
    plan, ledger = open_results(address, console)
    score_cells(plan, ledger, partial=partial)  # which refuses what is missing, damaged or in conflict
    with TemporaryDirectory(prefix="mer-") as private:
        folder = Path(private) / to.name
        _fill(plan, ledger, folder, every)
        pack(folder, to, job_version=JOB_VERSION, every=every)


def refuse_other_names(to: Path) -> None:
    """Refuse to write a capsule into a file that is not named as capsules are.

    Raises
    ------
    BadInput
        Since a misplaced argument must not replace a file of another kind.
    """
    if to.suffix != SUFFIX or to.is_dir():
        raise BadInput(Problem(str(to), "is no name for a capsule", f"as in results{SUFFIX}"))


def _fill(plan: Plan, ledger: Ledger, folder: Path, every: int) -> None:
    """What a capsule takes from an output folder: plan, results and histories, without what tells of the machine."""
    of_nowhere = replace(
        plan,
        store="",
        weights=False,
        model_files=tuple(replace(file, path=PurePath(file.path).name) for file in plan.model_files),
    )
    of_nowhere.save(folder / "plan.json")
    for study, history in histories(plan, ledger.root.parent):
        if history.configurations:
            # Why it failed was told by a machine: traces hold paths.
            tried = (
                replace(t, reason=f"division {t.divisions + 1} failed" if t.reason else "")
                for t in history.configurations
            )
            replace(history, configurations=tuple(tried)).save(folder, study)
    jobs, here = all_jobs(plan, ledger.root.parent), Ledger(folder / "ledger")
    deciding = deciding_epochs(plan, ledger) if every > 1 else {}
    here.root.mkdir()
    for job_id in sorted(ledger.ids() & jobs.keys()):
        result = ledger.read(job_id)
        if every > 1:
            here.commit(thinned(result, jobs[job_id], every, deciding))
        else:
            shutil.copyfile(ledger.root / f"{job_id}.arrow", here.root / f"{job_id}.arrow")


def pack(folder: Path, to: Path, *, job_version: int, every: int) -> None:
    """Add to plan, results and histories all that follows from them, and write the capsule.

    Raises
    ------
    BadInput
        If there is more than a capsule may hold.
    """
    plan, ledger = Plan.load(folder / "plan.json"), Ledger(folder / "ledger")
    note_failures(plan, ledger)
    for name, text in plan.split_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    write_json(folder / "features.json", features(plan))
    write_json(folder / "environment.json", {"capsule": versions(), "trained_on": trained_on(ledger)})
    scored = score_cells(plan, ledger, partial=True)
    write_json(folder / "score.json", score_document(plan, ledger, scored, plan.rule))
    write_capsule(folder, to, job_version=job_version, every=every)


def features(plan: Plan) -> dict[str, Any]:
    """The document ``features.json``: by key, name and definition of each feature, and whose clips it is of."""
    return {
        key: {"feature": feature, "dataset": member, "definition": plan.definitions.get(key)}
        for planned in plan.datasets.values()
        for feature, by_member in sorted(planned.feature_keys.items())
        for member, key in sorted(by_member.items())
    }


def versions() -> dict[str, str]:
    """The program's code and the versions of what decides its numbers, here."""
    from importlib.metadata import version

    others = {name: version(name) for name in ("optuna", "pyarrow", "scipy")}
    return {**what_runs(), "python": platform.python_version(), **others}


def trained_on(ledger: Ledger) -> list[dict[str, Any]]:
    """What trained the results: device and versions, each with the number of jobs; the most frequent first."""
    count: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    for job_id in ledger.ids():
        result = ledger.read(job_id)
        count[result.device, tuple(sorted(result.environment.items()))] += 1
    ordered = sorted(count.items(), key=lambda entry: (-entry[1], entry[0]))
    return [{"device": device, "environment": dict(of), "jobs": jobs} for (device, of), jobs in ordered]
