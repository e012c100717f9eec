"""Listed folds without training: what the made-up learner of :mod:`simulated` answers."""

from collections.abc import Collection
from pathlib import Path

from simulated import learner

from mer_data.storage.store import Store
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.sweep.dispatcher import Dispatcher


def plan_for(store: Store, **changes: object) -> Plan:
    """Two models on ``blobs``: one with four epochs, and a baseline with one."""
    keys = {"models": ["ststnet", "majority"], "recipes": {"ststnet": {"epochs": 4}}, **changes}
    return make_plan(resolve(Experiment.model_validate({"name": "t", "datasets": ["blobs"], **keys}), store))


def train(plan: Plan, out: Path, jobs: Collection[Job] | None = None) -> None:
    """An output folder with the plan and the results of some of its jobs, or of all."""
    plan.save(out / "plan.json")
    dispatcher = Dispatcher(plan, out / "ledger")
    for job in plan.jobs if jobs is None else jobs:
        dispatcher.commit(job.id, learner(plan, job), 1.0, "cpu x86_64", {"python": "3.11"})
