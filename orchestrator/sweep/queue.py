"""The queue that gives Ray Tune one job after the other: from a list, or from a search."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import ray
from ray.tune.search import Searcher

from orchestrator.console import Advance
from orchestrator.experiment.plan import Job
from orchestrator.machines.answers import Machines
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import Ledger
from orchestrator.output.running import Running
from orchestrator.sweep.dispatcher import TRIES
from orchestrator.sweep.lost_workers import LostWorkers
from orchestrator.sweep.places import Place, declared

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


@dataclass(frozen=True)
class Given:
    """A job that is given out: where it came from, and where it is trained."""

    source: Source
    job: Job
    place: Place


class JobQueue(Searcher):
    """Gives Tune one job after the other, takes note of their ends, and shows how far everything is.

    A trial is one job, or on a GPU several that are recorded and trained side by side, a pack. Each of them ends by
    itself, and those of a pack that is lost are given out again alone.
    """

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
        places: Callable[[Job], Place] = declared,
        cpu_folds: int = 0,
        recount: Callable[[], Resources] | None = None,
        machines: Machines | None = None,
    ) -> None:
        super().__init__(metric="seconds", mode="min")
        self._sources, self._dispatcher, self._ledger, self._progress = list(sources), dispatcher, ledger, progress
        self._have, self._gpu, self._retries = have, gpu, retries
        self._places, self._cpu_folds = places, cpu_folds
        self._recount, self._counted = recount, time.monotonic()
        self._again: deque[Given] = deque()
        self._tries: Counter[str] = Counter()
        self._lost: LostWorkers[Given] = LostWorkers(machines)
        self._running: dict[str, list[Given]] = {}
        self._size: dict[str, int] = {}  # of the trials that run, with how many jobs each began
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        self.ended, self.training_seconds, self.busy_seconds = 0, 0.0, 0.0
        self.over, self._given = False, 0
        self.trouble: str | None = None
        self.came = threading.Event()  # a worker has taken a fold
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
        """The configuration of the next trial: its jobs, the share of a GPU it takes, and how they are trained."""
        self._notice_machines()
        self._notice_epochs()
        self._notice_losses()
        if len(self._running) >= self.slots + WAITING or self._lost.wait():
            return None
        taken = self._next() if self._given < _TRIALS_PER_RUN else None
        if taken is None:
            if self._running or (self._lost and self.trouble is None and self._given < _TRIALS_PER_RUN):
                return None
            self.over = self._given < _TRIALS_PER_RUN or self.trouble is not None
            # The word that Tune compares with, although it declares mappings only.
            return cast("dict[str, Any]", Searcher.FINISHED)
        self._given += 1
        pack = self._running[trial_id] = [taken, *self._beside(taken.place)]
        self._size[trial_id] = len(pack)
        for one in pack:
            if (
                one.job.recipe is not None
            ):  # of a search; the dispatcher has the others in its plan, and may still start
                ray.get(self._dispatcher.offer.remote(one.job))
        lost = max(self._lost.gave(one.job.id) for one in pack)
        jobs = [one.job.id for one in pack]
        return {"jobs": jobs, "gpu": taken.place.taken, "way": taken.place.way, "lost": lost}

    def _beside(self, place: Place) -> Iterator[Given]:
        """What is trained beside a job: what there is now, of its kind, and no more than is fair to other GPUs."""
        if place.pack == 1:
            return
        load, fair = 1 / place.pack, math.ceil((1 + self._left()) / max(self._have.gpus, 1))
        for _ in range(min(place.pack, fair) - 1):
            another = self._next()
            if another is None:
                return
            load += 1 / another.place.pack
            if another.place.way != place.way or another.place.pack == 1 or load > 1 + 1e-9:
                self._again.append(another)
                return
            yield another

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
        if running:
            self.came.set()
        told = [(job, running[job.id]) for job in self._jobs() if job.id in running]
        self._part = sum(how_far.share for _, how_far in told)
        for job, how_far in told:
            if how_far.share >= _TELLS_ENOUGH:
                self._expected[job.model] = how_far.seconds / how_far.share
        if self._part:
            job, how_far = max(told, key=lambda pair: pair[1].share)
            note = f"{job.model} on {job.dataset}, epoch {how_far.done} of {how_far.of}"
            self._progress.advance(0, note, self._seconds_left(self._left()), part=self._part)

    def _jobs(self) -> Iterator[Job]:
        return (given.job for pack in self._running.values() for given in pack)

    def _left(self) -> int:
        given = sum(map(len, self._running.values())) + len(self._again) + len(self._lost)
        return sum(source.left for source in self._sources) + given

    def _next(self) -> Given | None:
        if self.trouble is not None:
            return None
        if self._again:
            return self._again.popleft()
        back = self._lost.take()
        if back is not None:
            return back
        for source in self._sources:
            try:
                job = source.take()
            except OSError as error:  # a search writes its history; Tune would make a traceback of it
                self.trouble = f"cannot be written: {error.strerror or error} (make room or give access)"
                return None
            if job is not None:
                return Given(source, job, self._place(self._places(job)) if self._gpu else Place())
        return None

    def _place(self, wanted: Place) -> Place:
        """The place of the next job: a core if its network is small, no GPU is free for it, and a core is."""
        taken = [pack[0].place.taken for pack in self._running.values()]
        on_gpu = sum(share > 0 for share in taken)
        free = sum(taken) + wanted.taken <= self._have.gpus
        free = free and on_gpu < self._have.cpus - self._have.cpus_without_gpu
        if free or wanted.share > _SMALL or len(taken) - on_gpu >= self._cpu_folds:
            return wanted
        return Place()

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A job of a pack has ended, with its result in the ledger or a reason why not; others go on."""
        pack, together = self._running[trial_id], self._size[trial_id]
        given = next(one for one in pack if one.job.id == result["job"])
        pack.remove(given)
        seconds, taken = float(result["seconds"]), given.place.taken
        self.training_seconds += seconds
        self.busy_seconds += seconds * max(1 / self._have.cpus, taken / self._have.gpus if taken else 0.0)
        self.trouble = self.trouble or ray.get(self._dispatcher.trouble.remote())
        if result["unbegun"]:
            self._again.append(replace(given, place=given.place.with_fewer(together)))
        elif self._is_told(given):
            self._end(given, seconds, memory=bool(result["memory"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has ended: with the last of its jobs, or because its worker was lost."""
        self.came.set()
        if result:
            self.on_trial_result(trial_id, result)
        self.trouble = self.trouble or ray.get(self._dispatcher.trouble.remote())
        pack, together = self._running.pop(trial_id), self._size.pop(trial_id)
        for given in pack:
            if self._is_told(given, lost=together):
                self._end(given, 0.0, memory=False)

    def _is_told(self, given: Given, *, lost: int = 0) -> bool:
        """Whether a job has a result or a reason why not. If not, it is given out again.

        `lost` is the number of jobs of its trial, if its worker may be lost: of several, nobody knows whose fault it
        was, so each is tried alone; one that was alone has lost a try.
        """
        if self._ledger.has(given.job.id):
            return True
        told, by_another = ray.get(self._dispatcher.ended.remote(given.job.id))
        if by_another:
            self._again.append(given)
        elif told is None and lost:
            alone = replace(given, place=given.place.alone())
            if lost > 1:
                self._again.append(alone)
            else:
                self._lost.add(given.job.id, alone)
        return not by_another and (told is not None or not lost)

    def _notice_losses(self) -> None:
        """Give up folds whose workers were lost too often."""
        self._lost.settle()
        while self._lost.spent:
            given = self._lost.spent.pop()
            reason = f"its worker process was lost {TRIES} times; did it run out of memory?"
            ray.get(self._dispatcher.fail.remote(given.job.id, reason))
            self._end(given, 0.0, memory=False)

    def _end(self, given: Given, seconds: float, *, memory: bool) -> None:
        job, failure = given.job, self._failure(given.job)
        if failure is not None and self._try_again(given, memory=memory):
            return
        given.source.finish(job, failure)
        self.ended += 1
        self._took[job.model].append(seconds)
        left = self._left()
        self._progress.advance(1, f"{job.model} on {job.dataset}", self._seconds_left(left), total=self.ended + left)

    def _failure(self, job: Job) -> str | None:
        if self._ledger.has(job.id):
            return None
        return self._ledger.failures([job.id]).get(job.id) or "no reason was noted"

    def _try_again(self, given: Given, *, memory: bool) -> bool:
        """Whether a failed job is given out once more: with a larger share if its GPU's memory was too small."""
        if memory and 0 < given.place.share < 1:
            self._again.append(replace(given, place=given.place.roomier()))
            return True
        self._tries[given.job.id] += 1
        if self._tries[given.job.id] > self._retries:
            return False
        self._again.append(given)
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
