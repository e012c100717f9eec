"""One Ray Tune run over all jobs that are missing: resources, progress, and what the scheduling cost."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mer_data.problems import BadInput, Problem
from mer_models.spec import models
from orchestrator.clerk import Clerk
from orchestrator.console import Advance, Console
from orchestrator.fold import FoldTrainable
from orchestrator.plan import Job, Plan
from orchestrator.runtime import Resources

_TRIES = 3  # how often a job is started whose worker is lost


@dataclass(frozen=True)
class SweepCost:
    """Where the wall time of a sweep went.

    Attributes
    ----------
    jobs
        Jobs run.
    wall_seconds
        From the first to the last moment of the sweep.
    slot_seconds
        Wall time times the number of jobs that could run side by side.
    training_seconds
        Sum over jobs of the time spent training, their reading of features included.
    """

    jobs: int
    wall_seconds: float
    slot_seconds: float
    training_seconds: float

    @property
    def not_training(self) -> float:
        """Share of the slots' time that was not spent training."""
        return 1 - self.training_seconds / self.slot_seconds


def sweep(plan: Plan, todo: Sequence[Job], out: Path, have: Resources, console: Console) -> SweepCost:
    """Run jobs as Ray Tune trials; their results are in the ledger of `out` when this returns.

    Parameters
    ----------
    plan
        The plan the jobs belong to.
    todo
        The jobs to run, in this order.
    out
        The output folder.
    have
        What the cluster has.
    console
        Where progress goes.

    Raises
    ------
    BadInput
        If the plan asks for GPUs and there are none.
    """
    gpu = _use_gpus(plan, have)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    clerk: Any = ray.remote(Clerk).options(num_cpus=0, scheduling_strategy=here).remote(plan, out / "ledger")
    # Worker processes are reused only between trials of equal resources: one Tune run per shape keeps them apart.
    shapes: defaultdict[float, list[Job]] = defaultdict(list)
    for job in todo:
        shapes[models()[job.model].gpu_share if gpu else 0.0].append(job)
    wall, slot_seconds, training = 0.0, 0.0, 0.0
    try:
        with console.progress("folds", len(todo), "folds") as progress:
            for share, jobs in sorted(shapes.items()):
                start = time.perf_counter()
                slots = min(have.cpus, int(have.gpus / share)) if share else have.cpus
                watch = _Watch(plan, jobs, slots, clerk, progress)
                _tune(jobs, {"cpu": 1, "gpu": share}, slots, clerk, watch, out / "tune")
                took = time.perf_counter() - start
                wall, slot_seconds, training = (
                    wall + took,
                    slot_seconds + took * slots,
                    training + watch.training_seconds,
                )
    finally:
        ray.kill(clerk)
        # Results are in the ledger. What Tune keeps of its own is of no use to anyone.
        shutil.rmtree(out / "tune", ignore_errors=True)
    return SweepCost(len(todo), wall, slot_seconds, training)


def _use_gpus(plan: Plan, have: Resources) -> bool:
    """Decided from the cluster, not from the machine the driver runs on."""
    if plan.device == "cuda" and not have.gpus:
        raise BadInput(Problem("device", "is cuda, but the cluster has no GPU", "set it to auto or cpu"))
    return plan.device == "cuda" or (plan.device == "auto" and have.gpus > 0)


def _tune(
    jobs: Sequence[Job], resources: dict[str, float], slots: int, clerk: Any, watch: _Watch, folder: Path
) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots + 2)
    shutil.rmtree(folder, ignore_errors=True)
    trainable = tune.with_resources(tune.with_parameters(FoldTrainable, clerk=clerk), resources)
    tuner = tune.Tuner(
        trainable,
        param_space={"job": tune.grid_search([job.id for job in jobs])},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(folder.resolve()),
            verbose=0,
            callbacks=[watch],
            failure_config=tune.FailureConfig(max_failures=_TRIES - 1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()


class _Watch(tune.Callback):
    """Turns Tune's events into progress: which model on which dataset is how far, and the time left."""

    def __init__(self, plan: Plan, jobs: Sequence[Job], slots: int, clerk: Any, progress: Advance) -> None:
        self._plan, self._slots, self._clerk, self._progress = plan, slots, clerk, progress
        self._left = Counter((job.model, job.dataset) for job in jobs)
        self._of = Counter(self._left)
        self._took: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.training_seconds = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks to restore an experiment, which is not how runs resume here."""
        return {}

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a finished trial."""
        job = self._plan.job[trial.config["job"]]
        cell = job.model, job.dataset
        seconds = float((trial.last_result or {}).get("seconds", 0.0))
        self.training_seconds += seconds
        self._left[cell] -= 1
        self._took[cell].append(seconds)
        self._progress.advance(1, self._note(cell), self._seconds_left())

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a trial whose worker was lost too often, and keep the reason."""
        reason = f"its worker process was lost {_TRIES} times; did it run out of memory?"
        ray.get(self._clerk.fail.remote(trial.config["job"], reason))
        self.on_trial_complete(iteration, trials, trial, **info)

    def _note(self, cell: tuple[str, str]) -> str:
        model, dataset = cell
        return f"{model} on {dataset} {self._of[cell] - self._left[cell]}/{self._of[cell]}"

    def _seconds_left(self) -> float:
        """From the mean time of each model's folds; NaN while a model has not finished any."""
        total = 0.0
        for cell, left in self._left.items():
            if left and not self._took[cell]:
                return math.nan
            total += left * sum(self._took[cell]) / max(len(self._took[cell]), 1)
        return total / self._slots
