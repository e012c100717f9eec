"""Searches without Ray and without training: a made-up learner, and workers whose jobs end in any order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mer_models.spec import Outcome
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory
from orchestrator.search.study import StudyDriver, Trained, optuna_storage
from orchestrator.sweep.dispatcher import Dispatcher

SPACE = {"ststnet": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "batch_size": [16, 32]}}
RECIPE = {"ststnet": {"epochs": 4, "lr": 1e-4, "batch_size": 16}}
Learner = Callable[[Plan, Job], Outcome]


class Stopped(Exception):  # noqa: N818 - a kill, not an error
    pass


def experiment(**search: object) -> Experiment:
    keys = {"configurations": 8, "space": SPACE, **search}
    return Experiment.model_validate(
        {"name": "t", "datasets": ["blobs"], "models": ["ststnet"], "recipes": RECIPE, "search": keys}
    )


def learner(plan: Plan, job: Job) -> Outcome:
    """Answers that are the better the nearer the learning rate is to 0.01, and best after epoch 3."""
    recipe, fold, cohort = plan.recipe(job), plan.fold(job), plan.datasets[job.dataset].cohort
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
    trained, storage = Trained(plan, ledger), optuna_storage(out)
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


def history(plan: Plan, out: Path) -> SearchHistory:
    return SearchHistory.load(out, plan, plan.studies[0])
