"""The dispatcher: one actor beside the driver that hands out work and is the only writer of the ledger."""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_models.plugins import ModelFile
from mer_models.spec import InputSpec, Outcome, Recipe
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Conflict, FoldResult, Ledger
from orchestrator.output.running import Running
from orchestrator.output.weights import card_of, weights_file, write_weights

_SECONDS_BETWEEN_NOTES = 5.0
TRIES = 3  # how often a job is started whose worker is lost


@dataclass(frozen=True)
class Work:
    """All that a worker is told of a job. Test clips come without labels, and no other fold's labels come at all.

    Attributes
    ----------
    job_id, model, recipe, random_state
        What to train, and what seeds its randomness.
    inputs
        What the model eats on this dataset.
    store, feature_keys
        Where the features lie: by feature and dataset of the store, the key of its bytes.
    train_ids, labels
        Training clips and their class indices, int64.
    test_ids
        Test clips.
    classes
        Number of classes.
    keep_weights
        Whether the weights of a network are wanted too.
    model_files
        The text of the user's model files, to be run before the model is looked up.
    """

    job_id: str
    model: str
    recipe: Recipe
    random_state: int
    inputs: tuple[InputSpec, ...]
    store: str
    feature_keys: dict[str, dict[str, str]]
    train_ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    test_ids: tuple[str, ...]
    classes: int
    keep_weights: bool
    model_files: tuple[ModelFile, ...]


class Dispatcher:
    """Hands out work by job id and commits what comes back. Made a Ray actor by the sweep.

    Parameters
    ----------
    plan
        All jobs, with every label; it stays in this process.
    ledger_root
        The ledger's folder; the folder ``weights`` is beside it.
    """

    def __init__(self, plan: Plan, ledger_root: Path) -> None:
        # Arrow imports it to write a first file. Here, while the workers start, nobody waits for it.
        importlib.import_module("pandas")

        self._plan = plan
        self._ledger = Ledger(ledger_root)
        self._weights = ledger_root.parent / "weights"
        self._offered: dict[str, Job] = {}
        self._given_up: set[str] = set()
        self._refused: Counter[str] = Counter()
        self._trouble: str | None = None
        self._running: dict[str, Running] = {}
        self._noted: dict[str, float] = {}

    def offer(self, job: Job) -> None:
        """Make known a job that the plan does not list: one of a search."""
        self._offered[job.id] = job

    def _job(self, job_id: str) -> Job:
        return self._offered.get(job_id) or self._plan.job[job_id]

    def take(self, job_id: str) -> Work | None:
        """The work of a job; None if it was given up or is done."""
        job = self._job(job_id)
        done = self._ledger.has(job_id) and not self._plan.keeps_weights(job)  # its worker was lost right after
        if done or job_id in self._given_up:
            return None
        cohort, fold = self._plan.datasets[job.dataset].cohort, self._plan.fold(job)
        with self._noticing_trouble():
            self._ledger.begin(job_id)
            self._running[job_id] = Running(time.time())
            self._running[job_id].save(self._ledger.root, job_id)
        labels = [cohort.classes.index(cohort.label_of[clip_id]) for clip_id in fold.train_ids]
        return Work(
            job_id=job_id,
            model=job.model,
            recipe=self._plan.recipe(job),
            random_state=job.random_state,
            inputs=self._plan.datasets[job.dataset].inputs[job.model],
            store=self._plan.store,
            feature_keys={name: dict(keys) for name, keys in self._plan.datasets[job.dataset].feature_keys.items()},
            train_ids=fold.train_ids,
            labels=np.array(labels, np.int64),
            test_ids=fold.test_ids,
            classes=len(cohort.classes),
            keep_weights=self._plan.keeps_weights(job),
            model_files=self._plan.model_files,
        )

    def note_epoch(self, job_id: str, done: int, of: int) -> None:
        """A job has got so far. For those who look at the folder it is written every few seconds."""
        known = self._running.get(job_id)
        if known is None:  # it has ended since
            return
        self._running[job_id] = replace(known, done=done, of=of)
        if time.monotonic() - self._noted.get(job_id, 0.0) >= _SECONDS_BETWEEN_NOTES:
            self._noted[job_id] = time.monotonic()
            with self._noticing_trouble():
                self._running[job_id].save(self._ledger.root, job_id)

    def running(self) -> dict[str, Running]:
        """How far the jobs are that were taken and have not ended."""
        return self._running

    def _ended(self, job_id: str) -> None:
        self._running.pop(job_id, None)
        self._noted.pop(job_id, None)

    def commit(self, job_id: str, outcome: Outcome, seconds: float, device: str, environment: dict[str, str]) -> None:
        """Check a worker's outcome and add it to the ledger. It is on disk when this returns, its weights before it.

        Raises
        ------
        ValueError
            If epochs, clips or classes are not those of the job, or a logit is not finite.
        """
        job = self._job(job_id)
        self._ended(job_id)
        epochs = tuple(self._plan.recipe(job).kept_epochs())
        clips, classes = self._plan.fold(job).test_ids, len(self._plan.datasets[job.dataset].cohort.classes)
        if outcome.epochs != epochs or outcome.logits.shape[1:] != (len(clips), classes):
            raise ValueError(f"{job.model}: logits {outcome.logits.shape} for {len(epochs)} epochs, {len(clips)} clips")
        result = FoldResult(job_id, clips, outcome.epochs, outcome.logits, seconds, device, environment)
        # A second, different result is kept beside the first one, where status and score find it.
        with suppress(Conflict), self._noticing_trouble():
            if self._ledger.has(job_id):
                # Its weights come later, so they are those of the first result or not there at all.
                self._ledger.commit(result)
            if self._plan.keeps_weights(job) and outcome.state is not None:
                write_weights(weights_file(self._weights, job), outcome.state, card_of(self._plan, job))
            self._ledger.commit(result)

    @contextmanager
    def _noticing_trouble(self) -> Iterator[None]:
        """A ledger that cannot be written is no failure of a job: the driver is told, and stops."""
        try:
            yield
        except OSError as error:
            self._trouble = f"cannot be written: {error.strerror or error} (make room or give access)"

    def trouble(self) -> str | None:
        """Why the sweep cannot go on, if so."""
        return self._trouble

    def give_up(self, job_id: str, reason: str) -> None:
        """Remember why a job gave no result, and that it is not to be tried again, although its worker will be lost."""
        self._given_up.add(job_id)
        self.fail(job_id, reason)

    def refuse(self, job_id: str, reason: str) -> None:
        """A worker cannot train as the driver wants. A job that finds no other worker ends the sweep: none would."""
        self.fail(job_id, reason)
        self._refused[job_id] += 1
        if self._refused[job_id] == TRIES:
            self._trouble = reason

    def fail(self, job_id: str, reason: str) -> None:
        """Remember why a job gave no result."""
        self._ended(job_id)
        with self._noticing_trouble():
            self._ledger.record_failure(job_id, reason)
