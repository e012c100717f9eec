"""One Ray Tune run over all jobs that are missing: who is next, with which share of the cluster, and what it cost."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mer_data.problems import BadInput, Problem
from orchestrator.console import Console
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.sections import Gpu
from orchestrator.machines.answers import AskedMachines
from orchestrator.machines.code_version import what_runs
from orchestrator.machines.ray_cluster import dashboard, on_standing_cluster
from orchestrator.machines.ray_internals import forget_metrics
from orchestrator.machines.resources import Resources, count
from orchestrator.machines.watchdog import waited_for
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import Dispatcher
from orchestrator.sweep.gpu_places import find_places
from orchestrator.sweep.places import declared
from orchestrator.sweep.queue import WAITING, JobQueue, Listed, Source
from orchestrator.sweep.trial import FoldTrainable, Spoilt

_LOGGERS = ("ray.tune.execution.tune_controller", "ray.tune.tune")


@dataclass(frozen=True)
class SweepCost:
    """Where the wall time of a sweep went.

    Attributes
    ----------
    jobs
        Jobs run.
    wall_seconds
        From the first to the last moment of the sweep.
    training_seconds
        Sum over jobs of the time spent training, their reading of features included.
    busy_seconds
        The same, each job weighted with its share of the cluster.
    """

    jobs: int
    wall_seconds: float
    training_seconds: float
    busy_seconds: float

    @property
    def not_training(self) -> float:
        """Share of the cluster's time that was not spent training."""
        return 1 - self.busy_seconds / self.wall_seconds


def sweep(
    plan: Plan,
    jobs: Sequence[Job],
    searches: Sequence[Source],
    out: Path,
    have: Resources,
    console: Console,
    *,
    retries: int = 0,
    fold_minutes: float | None = None,
    gpus: Gpu = Gpu(),  # noqa: B008 - it is frozen
) -> SweepCost:
    """Run jobs as Ray Tune trials; their results are in the ledger of `out` when this returns.

    Parameters
    ----------
    plan
        The plan the jobs belong to.
    jobs
        The jobs known beforehand. Those that take equal shares of a GPU run one after the other, in the same processes.
    searches
        Where more jobs come from. They fill what the others leave free.
    out, have, console
        The output folder, what the cluster has, and where progress goes.
    retries, fold_minutes, gpus
        As in the experiment.

    Raises
    ------
    BadInput
        If the plan asks for GPUs and there are none, if results cannot be written, or if no worker runs our code.
    """
    gpu = use_gpus(plan, have)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    ledger = (out / "ledger").resolve()  # an actor's current folder need not be the driver's
    dispatcher: Any = ray.remote(Dispatcher).options(num_cpus=0, scheduling_strategy=here).remote(plan, ledger)
    _say_dashboard(console)
    start = time.perf_counter()
    try:
        places = find_places(plan, out, console, gpus) if gpu else declared
        sources: list[Source] = [Listed(sorted(jobs, key=lambda job: places(job).share)), *searches]
        with console.progress("folds", sum(source.left for source in sources), "folds") as progress:
            queue = JobQueue(
                sources,
                dispatcher,
                Ledger(ledger),
                progress,
                have,
                gpu=gpu,
                retries=retries,
                places=places,
                cpu_folds=have.cpus_without_gpu if gpu and plan.device == "both" else 0,
                **_of_cluster(),
            )
            _run_to_its_end(queue, dispatcher, fold_minutes, out, console)
    finally:
        ray.kill(dispatcher)
        # Results are in the ledger. What Tune keeps of its own is of no use to anyone.
        shutil.rmtree(out / "tune", ignore_errors=True)
    return SweepCost(queue.ended, time.perf_counter() - start, queue.training_seconds, queue.busy_seconds)


def _say_dashboard(console: Console) -> None:
    if (page := dashboard()) is not None:
        console.say(f"Ray's dashboard:  {page}")


def _of_cluster() -> dict[str, Any]:
    """What the queue asks about a cluster, whose machines come and go."""
    return {"recount": partial(count, standing=True), "machines": AskedMachines()} if on_standing_cluster() else {}


def _run_to_its_end(queue: JobQueue, dispatcher: Any, fold_minutes: float | None, out: Path, console: Console) -> None:
    runs = dict(what_runs()) if on_standing_cluster() else None
    fixed = {"dispatcher": dispatcher, "fold_minutes": fold_minutes, "driver_runs": runs}
    with told_in_words(console), waited_for(queue.came, console):
        while not queue.over:
            queue.begin_run()
            _tune(queue, queue.slots, out / "tune", fixed)
    if queue.trouble is not None:
        raise BadInput(Problem(str(out), queue.trouble, "the same command goes on from here"))


def use_gpus(plan: Plan, have: Resources) -> bool:
    """Decided from the cluster, not from the machine the driver runs on."""
    if plan.device == "cuda" and not have.gpus:
        raise BadInput(Problem("device", "is cuda, but the cluster has no GPU", "set it to auto or cpu"))
    return plan.device != "cpu" and have.gpus > 0


def _tune(queue: JobQueue, slots: int, folder: Path, fixed: dict[str, Any]) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots + WAITING)
    shutil.rmtree(folder, ignore_errors=True)
    # What Tune writes of its own is thrown away, so that it could not be written is nobody's concern.
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)
    trainable = tune.with_parameters(FoldTrainable, **fixed)
    tuner = tune.Tuner(
        tune.with_resources(trainable, takes),
        tune_config=tune.TuneConfig(search_alg=queue, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(folder.resolve()),
            verbose=0,
            callbacks=[_Forgetting()],
            failure_config=tune.FailureConfig(max_failures=0),  # the queue gives out again what was lost
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()


def takes(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What a trial takes. The queue keeps those together that take the same, so that they can use the same processes.

    A fold whose worker was lost takes something with a name of its own: it shall not end with a process that others
    have used, and no other fold with one that it has used.
    """
    name = f"{config['jobs'][0]}-{config['lost']}" if config["lost"] else ""
    return tune.PlacementGroupFactory([{"CPU": 1, "GPU": config["gpu"]}], name=name)


class _Forgetting(tune.Callback):
    """Keeps the driver's memory from growing with every fold."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has ended, and the queue has taken note."""
        forget_metrics(trial)


@contextmanager
def told_in_words(console: Console) -> Iterator[None]:
    """While this lasts, a lost worker is one line, and what the dispatcher was told already is none."""
    words = _Words(console)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(words)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(words)


class _Words(logging.Filter):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether Tune's own record is shown."""
        error = record.exc_info[1] if record.exc_info else None
        # Which folds failed, and why, is told when the sweep is over.
        if isinstance(error, Spoilt) or record.getMessage().startswith("Trials did not complete"):
            return False
        if not isinstance(error, ActorDiedError | ActorUnavailableError) or "creation task" in str(error):
            return True
        where = re.search(r"^\s*ip: (\S+)", str(error), re.MULTILINE)
        self._console.warn(f"a worker was lost{' on ' + where[1] if where else ''}")
        return False
