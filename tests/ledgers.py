"""Ledgers without training: models whose answers are made up."""

from collections.abc import Callable, Mapping

import numpy as np

from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import Dispatcher

Answer = Callable[[Plan, Job, str], str]  # the class that a made-up model predicts for a clip


def plan_for(store: Store, **changes: object) -> Plan:
    """The plan of an experiment on the dataset ``blobs``; networks keep one epoch, so that ledgers stay small."""
    keys = {"name": "t", "datasets": ["blobs"], "models": ["majority"], **changes}
    if {"ststnet", "off_apexnet"} & set(keys["models"]):
        keys = {"recipes": {"all": {"epochs": 1}}, **keys}
    return make_plan(resolve(Experiment.model_validate(keys), store))


def right(plan: Plan, job: Job, clip_id: str) -> str:
    return plan.datasets[job.dataset].cohort.label_of[clip_id]


def negative(plan: Plan, job: Job, clip_id: str) -> str:
    return "negative"


def knowing(skill: Mapping[str, float]) -> Answer:
    """Models that know the class of so large a share of the clips, by name, and guess that of the others."""

    def answer(plan: Plan, job: Job, clip_id: str) -> str:
        random = np.random.default_rng([job.random_state, *clip_id.encode()])
        knows = random.random() < skill[job.model]
        return right(plan, job, clip_id) if knows else str(random.choice(plan.datasets[job.dataset].cohort.classes))

    return answer


def commit(
    plan: Plan, ledger: Ledger, answer: Answer, jobs: tuple[Job, ...] | None = None, *, sureness: float = 1.0
) -> None:
    """Fill a ledger; the logit of the class that is answered is `sureness`, those of the others are 0."""
    dispatcher = Dispatcher(plan, ledger.root)
    for job in plan.jobs if jobs is None else jobs:
        classes = plan.datasets[job.dataset].cohort.classes
        said = [classes.index(answer(plan, job, clip_id)) for clip_id in plan.fold(job).test_ids]
        epochs = tuple(plan.recipes[job.model].kept_epochs())
        logits = np.repeat(sureness * np.eye(len(classes), dtype=np.float32)[None, said], len(epochs), axis=0)
        dispatcher.commit(job.id, Outcome(epochs, logits), 1.0, "cpu", {})
