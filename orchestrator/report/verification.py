"""Whether a capsule is true: every number, fold, job and choice in it, computed anew from what it rests on."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mer_data.composites import LISTS, published
from mer_data.problems import BadInput, Problem
from mer_data.protocols import PROTOCOLS
from mer_data.schema import Clip
from orchestrator.experiment.plan import Job, Plan, PlannedDataset, make_job, model_key, recipe_key
from orchestrator.experiment.planner import study_name
from orchestrator.experiment.search_splits import FEWEST, divide, make_groups, pool
from orchestrator.output.capsule import unpack_capsule
from orchestrator.output.soundness import sound_results
from orchestrator.report import capsules
from orchestrator.report.leaderboard import score_document
from orchestrator.report.predictions import score_cells
from orchestrator.report.replay import replayed

_REMEDY = "ask who made it"


@dataclass(frozen=True)
class Verified:
    """What was gone through.

    Attributes
    ----------
    jobs, numbers, searches
        How many results, numbers of the table, and choices of searches were compared.
    problems
        What does not agree.
    remarks
        What could not be compared, and why.
    """

    jobs: int
    numbers: int
    searches: int
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]


def verify_capsule(path: Path) -> Verified:
    """Compute everything in a capsule anew. Nothing is trained: the results themselves are what all else rests on.

    Raises
    ------
    BadInput
        If it cannot be read, is altered, or does not fit together.
    """
    with TemporaryDirectory(prefix="mer-") as private:
        folder = Path(private) / path.name
        manifest = unpack_capsule(path, folder)
        plan, ledger = sound_results(folder, manifest.every, str(path))
        names = ("environment.json", "features.json", "score.json")
        told = {name: _document(folder / name, f"{path}, {name}") for name in names}
        problems = [("plan.json", what) for what in (*_datasets(plan), *_jobs(plan, manifest.job_version))]
        problems += [(name, "is not what follows from plan.json") for name in _derived(plan, folder, told)]
        scored = score_document(plan, ledger, score_cells(plan, ledger, partial=True), plan.rule)
        compared = list(_compared(told["score.json"], scored, ""))
        problems += [("score.json", what) for what in compared if what]
        if told["environment.json"].get("trained_on") != capsules.trained_on(ledger):
            problems.append(("environment.json", "tells other machines than the results in ledger/"))
        gone = replayed(plan, ledger, told["environment.json"].get("capsule", {}), Path(private))
        problems += [(f"search/{name}.json", what) for name, what in gone.problems]
        remarks = list(gone.remarks)
        if not scored["complete"]:
            remarks.append("folds are missing: the table is marked as not complete")
        if manifest.every > 1:
            remarks.append(f"of the epochs that folds kept, one in {manifest.every} and the last are here")
        found = tuple(Problem(f"{path}, {name}", what, _REMEDY) for name, what in problems)
        return Verified(len(ledger.ids()), len(compared), gone.choices, found, tuple(remarks))


def _document(path: Path, shown: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadInput(Problem(shown, "is no JSON document", _REMEDY))
    return document


def _datasets(plan: Plan) -> Iterator[str]:
    for name, planned in plan.datasets.items():
        yield from (f"dataset {name}: {what}" for what in (*_clips(planned), *_folds(plan, name, planned)))


def _clips(planned: PlannedDataset) -> Iterator[str]:
    """Where the clips are not those of the published list that they are said to be of."""
    cohort = planned.cohort
    if cohort.scheme not in LISTS:
        return
    of_list = published(cohort.scheme)
    for clip_id, label in cohort.label_of.items():
        if of_list.get(clip_id) != label:
            yield f"{clip_id} is {label}, in the list {cohort.scheme} {of_list.get(clip_id, 'it is not')}"
    if set(cohort.missing) != of_list.keys() - cohort.label_of.keys():
        yield f"the clips of the list {cohort.scheme} that are missing are others than those it tells"


def _folds(plan: Plan, name: str, planned: PlannedDataset) -> Iterator[str]:
    cohort = planned.cohort
    clips = [
        Clip(subject.split("/")[0], subject, clip_id.removeprefix(f"{subject}/"), cohort.label_of[clip_id])
        for clip_id, subject in cohort.subject_of.items()
    ]
    try:
        folds = {fold.held_out: fold for fold in PROTOCOLS[plan.protocol](clips)}
    except AssertionError as error:
        yield f"has no folds of the protocol {plan.protocol}: {error}"
        return
    if folds != planned.folds:
        other = next((held for held in folds if folds[held] != planned.folds.get(held)), "one that is not planned")
        yield f"its folds are not those of the protocol {plan.protocol}, first {other}"
        return
    search = next((study.search for study in plan.studies if study.dataset == name), None)
    if search is None:
        if planned.groups:
            yield "has groups and no search"
        return
    count = None if isinstance(search.groups, str) else search.groups
    if planned.groups != make_groups(folds, clips, count):
        yield "its groups are not those that follow from its folds"
        return
    clip_of = {clip.id: clip for clip in clips}
    for seed, by_group in planned.divisions.items():
        for group, divisions in by_group.items():
            seen = [clip_of[clip_id] for clip_id in pool(folds[held_out] for held_out in planned.groups[group])]
            enough = len({clip.subject for clip in seen}) >= FEWEST
            if not enough or divisions != divide(seen, [clip.emotion for clip in seen], search.divisions, seed):
                yield f"the divisions of {group} with seed {seed} are not those that follow from its clips"


def _jobs(plan: Plan, version: int) -> Iterator[str]:
    """Where ids do not follow from their parts, or where a model has not all of its jobs or searches."""
    for name, planned in plan.datasets.items():
        for model, told in planned.model_keys.items():
            of_cell = f"{model} on {name}"
            if told != model_key(model, plan.codes[model], planned.inputs[model], planned.feature_keys, version):
                yield f"the key of {of_cell} does not follow from its code and features"
            listed = [job for job in plan.jobs if (job.model, job.dataset) == (model, name)]
            wrong = sum(replace(job, configuration="") != _job_again(plan, job) for job in listed)
            if wrong:
                parts = "model, recipe, features, training clips with their classes, test clips and seed"
                yield f"the ids of {wrong} of {len(listed)} jobs of {of_cell} do not follow from {parts}"
            studies = [study for study in plan.studies if (study.model, study.dataset) == (model, name)]
            wrong = sum(study.name != study_name(planned, study) for study in studies)
            if wrong:
                parts = "model, recipe, features, the clips that they see with their classes, and settings"
                yield f"the names of {wrong} of {len(studies)} searches of {of_cell} do not follow from {parts}"
            if bool(listed) == bool(studies):
                yield f"{of_cell} has neither jobs nor searches, or both"
            yield from _lacks(
                of_cell, "a job for each fold", [(job.seed, job.held_out) for job in listed], planned.folds
            )
            groups = [(study.seed, study.group) for study in studies]
            yield from _lacks(of_cell, "a search for each group", groups, planned.groups)


def _job_again(plan: Plan, job: Job) -> Job:
    """A listed job, made anew from its parts. What its configuration is called is no part of it."""
    planned = plan.datasets[job.dataset]
    of_recipe = recipe_key(planned.model_keys[job.model], plan.recipes[job.model])
    of_fold = planned.fold_key(job.held_out, job.seed, None)
    return make_job(plan.protocol, job.model, job.dataset, job.held_out, job.seed, "", of_recipe, of_fold)


def _lacks(of_cell: str, what: str, there: Sequence[tuple[int, str]], all_of_them: Collection[str]) -> Iterator[str]:
    """Where something is not there for everything that is held out, with each seed once."""
    for seed in sorted({seed for seed, _ in there}):
        if sorted(name for of_seed, name in there if of_seed == seed) != sorted(all_of_them):
            yield f"{of_cell} with seed {seed} has not {what}"


def _derived(plan: Plan, folder: Path, told: Mapping[str, Any]) -> Iterator[str]:
    """Files that are not what the plan makes of them."""
    texts = plan.split_files()
    there = {path.name for path in folder.glob("*splits-*.csv")}
    for name in sorted(texts.keys() | there):
        if name not in there or (folder / name).read_text(encoding="utf-8") != texts.get(name):
            yield name
    if told["features.json"] != capsules.features(plan):
        yield "features.json"


def _compared(told: Any, found: Any, where: str) -> Iterator[str]:
    """For each number of a document, what is wrong with it, or an empty text; and what else does not agree.

    What is computed here and not told is no matter: a later program tells more.
    """
    if isinstance(told, Mapping) and isinstance(found, Mapping):
        for key, value in told.items():
            if key in found:
                yield from _compared(value, found[key], f"{where}, {key}" if where else str(key))
            else:
                yield f"{where}, {key} is told, and not known here".removeprefix(", ")
    elif isinstance(told, list) and isinstance(found, list | tuple) and len(told) == len(found):
        for number, (one, other) in enumerate(zip(told, found, strict=True), 1):
            title = (
                " ".join(str(one[key]) for key in ("model", "dataset", "scope") if key in one)
                if isinstance(one, dict)
                else ""
            )
            yield from _compared(one, other, f"{where} {title or number}")
    elif isinstance(told, int | float) and isinstance(found, int | float):
        same = told is found if isinstance(told, bool) else math.isclose(told, found, rel_tol=1e-9, abs_tol=1e-12)
        yield "" if same else f"{where} is {told}, computed anew {found}"
    elif told != found:
        yield f"{where} is {told!r}, computed anew {found!r}"
