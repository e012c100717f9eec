"""The queue that gives Ray Tune one job after the other: from a list, or from a search."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import ray
from ray.tune.search import Searcher

from mer_models.spec import models
from orchestrator.console import Advance
from orchestrator.experiment.plan import Job
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import Ledger
from orchestrator.output.running import Running
from orchestrator.sweep.dispatcher import TRIES

SECONDS_BETWEEN_COUNTS = 3.0
_SECONDS_BETWEEN_QUESTIONS = 1.0
_TELLS_ENOUGH = 0.1  # of a fold; its first epochs hold what a process imports and compiles
WAITING = 2  # trials that wait in Tune's queue; more would be trained although their race ends meanwhile
# Tune keeps some 8 kB of every trial and writes all of them again and again: after so many, it starts afresh.
_TRIALS_PER_RUN = 2000
# With `device: both`, networks that take at most so much of a GPU are also trained on cores of machines without one.
_SMALL = 1 / 8


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


def declared_share(job: Job) -> float:
    """The share of a GPU that a job's model declares."""
    return models()[job.model].gpu_share


class JobQueue(Searcher):
    """Gives Tune one job after the other, takes note of their ends, and shows how far everything is."""

    def __init__(
        self,
        sources: Sequence[Source],
        dispatcher: Any,
        ledger: Ledger,
        progress: Advance,
        have: Resources,
        *,
        gpu: bool,
        retries: int,
        shares: Callable[[Job], float] = declared_share,
        cpu_folds: int = 0,
        recount: Callable[[], Resources] | None = None,
    ) -> None:
        super().__init__(metric="seconds", mode="min")
        self._sources, self._dispatcher, self._ledger, self._progress = list(sources), dispatcher, ledger, progress
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
        self._asked, self._part = 0.0, 0.0
        self._expected: dict[str, float] = {}  # by model: how long a fold takes as far as running ones tell

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
        self._notice_epochs()
        if len(self._running) >= self.slots + WAITING:
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
        if job.recipe is not None:  # of a search; the dispatcher has the others in its plan, and may still be starting
            ray.get(self._dispatcher.offer.remote(job))
        return {"job": job.id, "gpu": share}

    def _notice_machines(self) -> None:
        """Count what has joined since the sweep began; what is lost may come back."""
        if self._recount is None or time.monotonic() - self._counted < SECONDS_BETWEEN_COUNTS:
            return
        self._counted = time.monotonic()
        now, had = self._recount(), self._have
        plain = max(now.cpus_without_gpu, had.cpus_without_gpu)
        self._have = Resources(max(now.cpus, had.cpus), max(now.gpus, had.gpus), plain)

    def _notice_epochs(self) -> None:
        """Show how far running folds are, which may take hours each."""
        if not self._running or time.monotonic() - self._asked < _SECONDS_BETWEEN_QUESTIONS:
            return
        self._asked = time.monotonic()
        running: Mapping[str, Running] = ray.get(self._dispatcher.running.remote())
        told = [(job, running[job.id]) for _, job, _ in self._running.values() if job.id in running]
        self._part = sum(how_far.share for _, how_far in told)
        for job, how_far in told:
            if how_far.share >= _TELLS_ENOUGH:
                self._expected[job.model] = how_far.seconds / how_far.share
        if self._part:
            job, how_far = max(told, key=lambda pair: pair[1].share)
            note = f"{job.model} on {job.dataset}, epoch {how_far.done} of {how_far.of}"
            self._progress.advance(0, note, self._seconds_left(self._left()), part=self._part)

    def _left(self) -> int:
        return sum(source.left for source in self._sources) + len(self._running) + len(self._again)

    def _next(self) -> tuple[Source, Job, float] | None:
        if self.trouble is not None:
            return None
        if self._again:
            return self._again.popleft()
        for source in self._sources:
            try:
                job = source.take()
            except OSError as error:  # a search writes its history; Tune would make a traceback of it
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
        self.trouble = self.trouble or ray.get(self._dispatcher.trouble.remote())
        failure = self._failure(job, error=error or not result)
        if failure is not None and self._try_again(source, job, share, memory=bool((result or {}).get("memory"))):
            return
        source.finish(job, failure)
        self.ended += 1
        self._took[job.model].append(seconds)
        left = self._left()
        self._progress.advance(1, f"{job.model} on {job.dataset}", self._seconds_left(left), total=self.ended + left)

    def _failure(self, job: Job, *, error: bool) -> str | None:
        if self._ledger.has(job.id):
            return None
        noted = self._ledger.failures([job.id]).get(job.id)
        if noted is None and error:
            noted = f"its worker process was lost {TRIES} times; did it run out of memory?"
            ray.get(self._dispatcher.fail.remote(job.id, noted))
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
        """From the mean time of the folds of each model so far, and of those that run; NaN before there are two."""
        if self.ended + self._part < 2:
            return math.nan
        means = self._expected | {model: sum(took) / len(took) for model, took in self._took.items()}
        return (left - self._part) * sum(means.values()) / len(means) / max(self._have.cpus, 1)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: what was found is in the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
