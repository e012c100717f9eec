"""Searches without Ray and without training: a made-up learner, and workers whose jobs end in any order."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer_data.composites import published
from mer_data.schema import Clip
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory
from orchestrator.output.trained import TrainedJobs
from orchestrator.search.study import StudyDriver, optuna_storage
from orchestrator.sweep.dispatcher import Dispatcher

SPACE = {"ststnet": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "batch_size": [16, 32]}}
RECIPE = {"ststnet": {"epochs": 4, "lr": 1e-4, "batch_size": 16}}
Learner = Callable[[Plan, Job], Outcome]


class Stopped(Exception):  # noqa: N818 - a kill, not an error
    pass


def experiment(**search: object) -> Experiment:
    keys = {"configurations": 8, "space": SPACE, "groups": 4, "divisions": 3, **search}
    return Experiment.model_validate(
        {"name": "t", "datasets": ["blobs"], "models": ["ststnet"], "recipes": RECIPE, "search": keys}
    )


def learner(plan: Plan, job: Job, by: Cohort | None = None) -> Outcome:
    """Answers that are the better the nearer the learning rate is to 0.01, and best after epoch 3.

    What is right is told by the plan's own cohort, or by another one.
    """
    recipe, fold, cohort = plan.recipe(job), plan.fold(job), by or plan.datasets[job.dataset].cohort
    true = np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in fold.test_ids])
    epochs = tuple(recipe.kept_epochs())
    skill = np.array([2.5 - abs(np.log10(recipe.lr / 0.01)) - 0.3 * abs(epoch - 3) for epoch in epochs])
    noise = np.random.default_rng(job.random_state).normal(size=(len(epochs), len(true), len(cohort.classes)))
    return Outcome(epochs, (noise + skill[:, None, None] * np.eye(len(cohort.classes))[true]).astype(np.float32))


def simulate(
    plan: Plan, out: Path, workers: int = 1, order: int = 0, stop: int | None = None, learn: Learner = learner
) -> int:
    """Run a plan's studies with so many workers, whose jobs end in a random order; returns how many jobs it trained."""
    ledger = Ledger(out / "ledger")
    dispatcher, random = Dispatcher(plan, ledger.root), np.random.default_rng(order)
    trained, storage = TrainedJobs(plan, ledger), optuna_storage(out)
    runs = [StudyDriver(plan, study, trained, out, storage) for study in plan.studies]
    busy: list[tuple[StudyDriver, Job]] = []
    count = 0
    while True:
        while len(busy) < workers:
            taken = next(((run, job) for run in runs if (job := run.take()) is not None), None)
            if taken is None:
                break
            busy.append(taken)
        if not busy:
            assert all(run.left == 0 for run in runs)
            return count
        if count == stop:
            raise Stopped
        run, job = busy.pop(int(random.integers(len(busy))))
        dispatcher.offer(job)
        try:
            dispatcher.commit(job.id, learn(plan, job), 1.0, "cpu", {})
            run.finish(job, None)
        except ArithmeticError as error:
            dispatcher.fail(job.id, str(error))
            run.finish(job, str(error))
        count += 1


def histories(plan: Plan, out: Path) -> list[SearchHistory]:
    """The history of every study, in the plan's order."""
    return [SearchHistory.load(out, plan, study) for study in plan.studies]


def plan_of(store: Store, **search: object) -> Plan:
    return make_plan(resolve(experiment(**search), store))


TURNED = {"negative": "positive", "positive": "surprise", "surprise": "negative"}


def plan_where(store: Store, subjects: Collection[str], **search: object) -> Plan:
    """The plan that is made if the clips of some subjects have other classes."""
    resolved = resolve(experiment(**search), store)
    dataset = resolved.datasets["blobs"]
    pairs = zip(dataset.cohort.labels, dataset.cohort.subjects, strict=True)
    labels = tuple(TURNED[label] if who in subjects else label for label, who in pairs)
    clips = tuple(
        replace(clip, emotion=TURNED[clip.emotion]) if clip.subject in subjects else clip for clip in dataset.clips
    )
    other = replace(dataset, clips=clips, cohort=replace(dataset.cohort, labels=labels))
    return make_plan(replace(resolved, datasets={"blobs": other}))


def composite_clips() -> list[Clip]:
    """The clips of the MEGC 2019 composite by its published list: 442 of 68 subjects, with their classes."""
    names = ((clip_id.split("/"), label) for clip_id, label in published("megc2019").items())
    return [Clip(dataset, f"{dataset}/{person}", name, label) for (dataset, person, name), label in names]
