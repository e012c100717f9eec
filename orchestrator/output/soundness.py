"""Whether what a stranger's capsule holds fits together, so that whatever reads it may take it for granted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np

from mer_data.problems import BadInput, Problem, raise_all
from mer_data.protocols import PROTOCOLS
from mer_models.spec import Recipe
from orchestrator.experiment.plan import Job, Plan, PlannedDataset, Study
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.output.search_history import SearchHistory, all_jobs, divisions_of, histories, note_failures
from orchestrator.output.thinning import every_nth
from orchestrator.score.model_selection import RULES

_MOST_EPOCHS = 1_000_000  # that a recipe may name: they are counted one by one
_REMEDY = "ask who made it"


def sound_results(folder: Path, every: int, shown: str) -> tuple[Plan, Ledger]:
    """Plan and ledger of an unpacked capsule, whose parts fit together. Whether they are true is another question.

    Parameters
    ----------
    folder
        Where it was unpacked.
    every
        Every so many epochs are in it.
    shown
        What messages call it.

    Raises
    ------
    BadInput
        With the file in it that does not fit.
    """
    ledger = Ledger(folder / "ledger")
    try:
        plan = Plan.load(folder / "plan.json")
        raise_all(Problem(f"{shown}, plan.json", what, _REMEDY) for what in _of_plan(plan))
        raise_all(_of_searches(plan, folder, shown))
        note_failures(plan, ledger)
        raise_all(_of_entries(plan, ledger, every, shown))
    except BadInput as error:
        # Where it was unpacked is nobody's business.
        told = (Problem(p.where.replace(f"{folder}/", f"{shown}, "), p.what, _REMEDY) for p in error.problems)
        raise BadInput(told) from None
    except Exception as error:  # whatever a stranger's content makes the code say that reads it
        raise BadInput(Problem(shown, f"does not fit together: {type(error).__name__}: {error}", _REMEDY)) from error
    return plan, ledger


def _of_plan(plan: Plan) -> Iterator[str]:
    if plan.protocol not in PROTOCOLS:
        yield f"unknown protocol {plan.protocol!r}"
    if plan.rule not in RULES or RULES[plan.rule].oracle:
        yield f"{plan.rule!r} is no honest selection rule"
    recipes = [*plan.recipes.values(), *(study.recipe for study in plan.studies)]
    if any(recipe.epochs > _MOST_EPOCHS for recipe in recipes):
        yield f"a recipe has more than {_MOST_EPOCHS} epochs"
    for name, planned in plan.datasets.items():
        yield from (f"dataset {name}: {what}" for what in _of_dataset(name, planned))
        if not set(planned.model_keys) <= plan.recipes.keys() & plan.codes.keys():
            yield f"dataset {name}: a model has no recipe or no code"
    for job in plan.jobs:
        if not _is_known(plan, job) or job.held_out not in plan.datasets[job.dataset].folds:
            yield f"job {job.id} is of {job.model} on {job.dataset}, {job.held_out} held out, which is not planned"
        if job.division is not None or job.recipe is not None:
            yield f"job {job.id} is listed and of a search"
    for study in plan.studies:
        seeds = plan.datasets[study.dataset].divisions if _is_known(plan, study) else {}
        if study.group not in seeds.get(study.seed, {}):
            yield f"search {study.name} is of {study.model} on {study.dataset} for {study.group}, which is not planned"
        if not set(study.space) <= {known.name for known in fields(Recipe)}:
            yield f"search {study.name} varies what is no training setting"
    if len(plan.job) < len(plan.jobs) or len({study.name for study in plan.studies}) < len(plan.studies):
        yield "a job or a search is there twice"


def _is_known(plan: Plan, of: Job | Study) -> bool:
    planned = plan.datasets.get(of.dataset)
    return planned is not None and of.model in planned.model_keys


def _of_dataset(name: str, planned: PlannedDataset) -> Iterator[str]:
    cohort = planned.cohort
    clips = set(cohort.clip_ids)
    if cohort.dataset != name or not len(clips) == len(cohort.clip_ids) == len(cohort.labels) == len(cohort.subjects):
        yield "clips, classes and subjects are not equally many, or a clip is there twice"
        return
    if len(set(cohort.classes)) < max(len(cohort.classes), 2) or not set(cohort.labels) <= set(cohort.classes):
        yield "a clip's class is none of the classes, or these are less than two"
    if any(not clip_id.startswith(f"{subject}/") for clip_id, subject in cohort.subject_of.items()):
        yield "a clip's name does not begin with its subject"
    sides = [(fold.train_ids, fold.test_ids) for fold in planned.folds.values()]
    for by_group in planned.divisions.values():
        sides += [(one.train_ids, one.validation_ids) for of_group in by_group.values() for one in of_group]
        if not set(by_group) <= set(planned.groups):
            yield "divisions are of a group that is not there"
    if any(not train or not test or not clips.issuperset(train + test) for train, test in sides):
        yield "a fold or a division has no clips on a side, or clips that are not there"
    if any(not members or not set(members) <= set(planned.folds) for members in planned.groups.values()):
        yield "a group holds out what no fold does"
    if set(planned.inputs) != set(planned.model_keys):
        yield "models have no inputs, or inputs are of no model"
    for inputs in planned.inputs.values():
        if not {taken.feature for taken in inputs} <= set(planned.feature_keys):
            yield "a model eats a feature that has no key"


def _of_searches(plan: Plan, folder: Path, shown: str) -> Iterator[Problem]:
    """What is wrong with the histories of searches, and with files beside them."""
    known = {f"{study.name}.json" for study in plan.studies}
    for path in sorted((folder / "search").glob("*")):
        if path.name not in known:
            yield Problem(f"{shown}, search/{path.name}", "is of no search in plan.json", _REMEDY)
    for study, history in histories(plan, folder):
        if not _fits(plan, study, history):
            yield Problem(f"{shown}, search/{study.name}.json", "does not fit the search in plan.json", _REMEDY)


def _fits(plan: Plan, study: Study, history: SearchHistory) -> bool:
    tried, divisions = history.configurations, divisions_of(plan, study)
    chosen = history.chosen
    return (
        history.group == plan.datasets[study.dataset].groups[study.group]
        and [known.number for known in tried] == list(range(len(tried)))
        and all(set(known.params) == set(study.space) for known in tried)
        and all(0 <= known.divisions <= divisions - (known.state == "failed") for known in tried)
        and (chosen is None or (history.closed and chosen.number in range(len(tried)) and chosen.epoch > 0))
        and (chosen is None or chosen.epoch <= study.recipe.epochs)
    )


def _of_entries(plan: Plan, ledger: Ledger, every: int, shown: str) -> Iterator[Problem]:
    jobs, epochs = all_jobs(plan, ledger.root.parent), dict[str, tuple[int, ...]]()
    for job_id in sorted(ledger.ids()):
        where = f"{shown}, ledger/{job_id}.arrow"
        if job_id not in jobs:
            yield Problem(where, "is the result of no job in plan.json", _REMEDY)
            continue
        result = ledger.read(job_id)
        epochs[job_id] = result.epochs
        wrong = _of_entry(plan, jobs[job_id], result, every)
        if wrong:
            yield Problem(where, wrong, _REMEDY)
    yield from _uneven(plan, ledger.root.parent, epochs, shown)


def _of_entry(plan: Plan, job: Job, result: FoldResult, every: int) -> str:
    """What is wrong with a result; empty if nothing is."""
    kept = tuple(plan.recipe(job).kept_epochs())
    if job.division is None:
        right = result.epochs == every_nth(kept, every)
    else:
        right = result.epochs == kept or (
            every > 1 and list(result.epochs) == sorted(set(result.epochs)) and set(result.epochs) < set(kept)
        )
    if not right or not result.epochs:
        return "has other epochs than its recipe keeps"
    if result.clip_ids != plan.fold(job).test_ids:
        return "answers for other clips than its fold holds out"
    classes = len(plan.datasets[job.dataset].cohort.classes)
    if result.logits.dtype != np.float32 or result.logits.shape != (len(result.epochs), len(result.clip_ids), classes):
        return f"has logits {result.logits.dtype} {result.logits.shape}"
    if not np.isfinite(result.logits).all() or not 0 <= result.seconds < math.inf:
        return "has logits that are no finite numbers"
    told = [result.device, *result.environment, *result.environment.values()]
    return "" if all(isinstance(text, str) for text in told) else "tells its machine in no words"


def _uneven(plan: Plan, out: Path, epochs: Mapping[str, tuple[int, ...]], shown: str) -> Iterator[Problem]:
    """Configurations of searches whose divisions have not all the same epochs, of which one is chosen for all."""
    for study, history in histories(plan, out):
        for known in history.configurations:
            there = [job.id for job in history.jobs(plan, study, known) if job.id in epochs]
            if len({epochs[job_id] for job_id in there}) > 1:
                where = f"{shown}, ledger/{there[0]}.arrow"
                yield Problem(where, "has other epochs than the other divisions of its configuration", _REMEDY)
