"""One Ray Tune run over all jobs that are missing: who is next, with which share of the cluster, and what it cost."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import ray
from ray import tune
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mer_data.problems import BadInput, Problem
from mer_models.spec import models
from orchestrator.console import Advance, Console
from orchestrator.experiment.plan import Job, Plan
from orchestrator.machines.ray_cluster import Resources, count, dashboard, on_standing_cluster, what_runs
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import TRIES, Clerk
from orchestrator.sweep.gpu_share import measure_shares
from orchestrator.sweep.lost_workers import told_in_words
from orchestrator.sweep.trial import FoldTrainable

_SECONDS_BETWEEN_COUNTS = 3.0
_WAITING = 2  # trials that wait in Tune's queue; more would be trained although their race ends meanwhile
# Tune keeps some 45 kB of every trial and writes all of them again and again: after so many, it starts afresh.
_TRIALS_PER_RUN = 5000
# With `device: both`, networks that take at most so much of a GPU are also trained on cores of machines without one.
_SMALL = 1 / 8


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


class Source(Protocol):
    """Where jobs come from: a list of them, or a search."""

    def take(self) -> Job | None:
        """The next job; None if there is none, or none before another one has ended."""

    def finish(self, job: Job, failure: str | None) -> None:
        """Take note of a job that has ended, with its reason if it failed."""

    @property
    def left(self) -> int:
        """How many jobs may still come, at most."""


class Listed:
    """Jobs known beforehand, as a :class:`Source`."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = deque(jobs)

    def take(self) -> Job | None:
        """The next job."""
        return self._jobs.popleft() if self._jobs else None

    def finish(self, job: Job, failure: str | None) -> None:
        """Nothing follows from a job."""

    @property
    def left(self) -> int:
        """Jobs not given out yet."""
        return len(self._jobs)


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
    out
        The output folder.
    have
        What the cluster has.
    console
        Where progress goes.
    retries, fold_minutes
        As in the experiment.

    Raises
    ------
    BadInput
        If the plan asks for GPUs and there are none, if results cannot be written, or if no worker runs our code.
    """
    gpu = _use_gpus(plan, have)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # Absolute, since an actor's current folder need not be the driver's.
    ledger = (out / "ledger").resolve()
    clerk: Any = ray.remote(Clerk).options(num_cpus=0, scheduling_strategy=here).remote(plan, ledger)
    if (page := dashboard()) is not None:
        console.say(f"Ray's dashboard:  {page}")
    start = time.perf_counter()
    try:
        shares = measure_shares(plan, out, console) if gpu else _declared
        sources: list[Source] = [Listed(sorted(jobs, key=shares)), *searches]
        cpu_folds = have.cpus_without_gpu if gpu and plan.device == "both" else 0
        with console.progress("folds", sum(source.left for source in sources), "folds") as progress:
            queue = _Queue(
                sources,
                clerk,
                Ledger(ledger),
                progress,
                have,
                gpu=gpu,
                retries=retries,
                shares=shares,
                cpu_folds=cpu_folds,
                recount=count if on_standing_cluster() else None,
            )
            runs = dict(what_runs()) if on_standing_cluster() else None
            fixed = {"clerk": clerk, "fold_minutes": fold_minutes, "driver_runs": runs}
            with told_in_words(console):
                while not queue.over:
                    queue.begin_run()
                    _tune(queue, queue.slots, out / "tune", fixed)
        if queue.trouble is not None:
            raise BadInput(Problem(str(out), queue.trouble, "the same command goes on from here"))
    finally:
        ray.kill(clerk)
        # Results are in the ledger. What Tune keeps of its own is of no use to anyone.
        shutil.rmtree(out / "tune", ignore_errors=True)
    return SweepCost(queue.ended, time.perf_counter() - start, queue.training_seconds, queue.busy_seconds)


def _use_gpus(plan: Plan, have: Resources) -> bool:
    """Decided from the cluster, not from the machine the driver runs on."""
    if plan.device == "cuda" and not have.gpus:
        raise BadInput(Problem("device", "is cuda, but the cluster has no GPU", "set it to auto or cpu"))
    return plan.device != "cpu" and have.gpus > 0


def _declared(job: Job) -> float:
    return models()[job.model].gpu_share


def _tune(queue: _Queue, slots: int, folder: Path, fixed: dict[str, Any]) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots + _WAITING)
    shutil.rmtree(folder, ignore_errors=True)
    # What Tune writes of its own is thrown away, so that it could not be written is nobody's concern.
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)
    trainable = tune.with_parameters(FoldTrainable, **fixed)
    tuner = tune.Tuner(
        # Worker processes are reused between trials of equal resources, which the queue keeps together.
        tune.with_resources(trainable, lambda config: tune.PlacementGroupFactory([{"CPU": 1, "GPU": config["gpu"]}])),
        tune_config=tune.TuneConfig(search_alg=queue, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(folder.resolve()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=TRIES - 1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()


class _Queue(Searcher):
    """Gives Tune one job after the other, takes note of their ends, and shows how far everything is."""

    def __init__(
        self,
        sources: Sequence[Source],
        clerk: Any,
        ledger: Ledger,
        progress: Advance,
        have: Resources,
        *,
        gpu: bool,
        retries: int,
        shares: Callable[[Job], float] = _declared,
        cpu_folds: int = 0,
        recount: Callable[[], Resources] | None = None,
    ) -> None:
        super().__init__(metric="seconds", mode="min")
        self._sources, self._clerk, self._ledger, self._progress = list(sources), clerk, ledger, progress
        self._have, self._gpu, self._retries = have, gpu, retries
        self._shares, self._cpu_folds = shares, cpu_folds
        self._recount, self._counted = recount, time.monotonic()
        self._again: deque[tuple[Source, Job, float]] = deque()
        self._tries: Counter[str] = Counter()
        self._running: dict[str, tuple[Source, Job, float]] = {}
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        self.ended, self.training_seconds, self.busy_seconds = 0, 0.0, 0.0
        self.over, self._given = False, 0
        self.trouble: str | None = None

    def begin_run(self) -> None:
        """Another run of Tune begins."""
        self._given = 0

    @property
    def slots(self) -> int:
        """How many trials may run or wait for their resources at a time; as many as run if each takes little GPU."""
        return self._have.cpus

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher to restore an experiment, which is not how runs resume here."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of the next trial: a job's id and the share of a GPU it takes."""
        self._notice_machines()
        if len(self._running) >= self.slots + _WAITING:
            return None
        taken = self._next() if self._given < _TRIALS_PER_RUN else None
        if taken is None:
            if self._running:
                return None
            self.over = self._given < _TRIALS_PER_RUN or self.trouble is not None
            # The word that Tune compares with, although it declares mappings only.
            return cast("dict[str, Any]", Searcher.FINISHED)
        self._given += 1
        _, job, share = self._running[trial_id] = taken
        if job.recipe is not None:  # of a search; the clerk has the others in its plan, and may still be starting
            ray.get(self._clerk.offer.remote(job))
        return {"job": job.id, "gpu": share}

    def _notice_machines(self) -> None:
        """Count what has joined since the sweep began; what is lost may come back."""
        if self._recount is None or time.monotonic() - self._counted < _SECONDS_BETWEEN_COUNTS:
            return
        self._counted = time.monotonic()
        now, had = self._recount(), self._have
        plain = max(now.cpus_without_gpu, had.cpus_without_gpu)
        self._have = Resources(max(now.cpus, had.cpus), max(now.gpus, had.gpus), plain)

    def _next(self) -> tuple[Source, Job, float] | None:
        if self.trouble is not None:
            return None
        if self._again:
            return self._again.popleft()
        for source in self._sources:
            try:
                job = source.take()
            except OSError as error:  # a search writes its course; Tune would make a traceback of it
                self.trouble = f"cannot be written: {error.strerror or error} (make room or give access)"
                return None
            if job is not None:
                return source, job, self._place(self._shares(job)) if self._gpu else 0.0
        return None

    def _place(self, share: float) -> float:
        """The share of a GPU for the next job: none if its network is small, no GPU is free for it, and a core is."""
        taken = [running for _, _, running in self._running.values()]
        on_gpu = sum(running > 0 for running in taken)
        free = sum(taken) + share <= self._have.gpus and on_gpu < self._have.cpus - self._have.cpus_without_gpu
        if free or share > _SMALL or len(taken) - on_gpu >= self._cpu_folds:
            return share
        return 0.0

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has ended: with a result in the ledger, with a reason why not, or because its worker was lost."""
        source, job, share = self._running.pop(trial_id)
        seconds = float((result or {}).get("seconds", 0.0))
        self.training_seconds += seconds
        self.busy_seconds += seconds * max(1 / self._have.cpus, share / self._have.gpus if share else 0.0)
        self.trouble = self.trouble or ray.get(self._clerk.trouble.remote())
        failure = self._failure(job, error=error or not result)
        if failure is not None and self._try_again(source, job, share, memory=bool((result or {}).get("memory"))):
            return
        source.finish(job, failure)
        self.ended += 1
        self._took[job.model].append(seconds)
        left = sum(one.left for one in self._sources) + len(self._running) + len(self._again)
        self._progress.advance(1, f"{job.model} on {job.dataset}", self._seconds_left(left), total=self.ended + left)

    def _failure(self, job: Job, *, error: bool) -> str | None:
        if self._ledger.has(job.id):
            return None
        noted = self._ledger.failures([job.id]).get(job.id)
        if noted is None and error:
            noted = f"its worker process was lost {TRIES} times; did it run out of memory?"
            ray.get(self._clerk.fail.remote(job.id, noted))
        return noted or "no reason was noted"

    def _try_again(self, source: Source, job: Job, share: float, *, memory: bool) -> bool:
        """Whether a failed job is given out once more: with a larger share if its GPU's memory was too small."""
        if memory and 0 < share < 1:
            self._again.append((source, job, min(2 * share, 1.0)))
            return True
        self._tries[job.id] += 1
        if self._tries[job.id] > self._retries:
            return False
        self._again.append((source, job, share))
        return True

    def _seconds_left(self, left: int) -> float:
        """From the mean time of the folds so far; NaN before there are any."""
        if not self._took:
            return math.nan
        mean = sum(sum(took) / len(took) for took in self._took.values()) / len(self._took)
        return left * mean / max(self._have.cpus, 1)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: what was found is in the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
