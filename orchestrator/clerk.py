"""The clerk: one actor beside the driver that hands out work and is the only writer of the ledger."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_models.spec import InputSpec, Outcome, Recipe
from orchestrator.ledger import Conflict, FoldResult, Ledger
from orchestrator.plan import Plan


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


class Clerk:
    """Hands out work by job id and commits what comes back. Made a Ray actor by the sweep.

    Parameters
    ----------
    plan
        All jobs, with every label; it stays in this process.
    ledger_root
        The ledger's folder.
    """

    def __init__(self, plan: Plan, ledger_root: Path) -> None:
        self._plan = plan
        self._ledger = Ledger(ledger_root)

    def take(self, job_id: str) -> Work:
        """The work of a job."""
        job = self._plan.job[job_id]
        cohort, fold = self._plan.cohorts[job.dataset], self._plan.fold(job)
        labels = [cohort.classes.index(cohort.label_of[clip_id]) for clip_id in fold.train_ids]
        return Work(
            job_id=job_id,
            model=job.model,
            recipe=self._plan.recipes[job.model],
            random_state=job.random_state,
            inputs=self._plan.inputs[job.dataset][job.model],
            store=self._plan.store,
            feature_keys={name: dict(keys) for name, keys in self._plan.feature_keys[job.dataset].items()},
            train_ids=fold.train_ids,
            labels=np.array(labels, np.int64),
            test_ids=fold.test_ids,
            classes=len(cohort.classes),
        )

    def commit(self, job_id: str, outcome: Outcome, seconds: float, device: str, environment: dict[str, str]) -> None:
        """Check a worker's outcome and add it to the ledger. It is on disk when this returns.

        Raises
        ------
        ValueError
            If epochs, clips or classes are not those of the job, or a logit is not finite.
        """
        job = self._plan.job[job_id]
        epochs = tuple(self._plan.recipes[job.model].kept_epochs())
        clips, classes = self._plan.fold(job).test_ids, len(self._plan.cohorts[job.dataset].classes)
        if outcome.epochs != epochs or outcome.logits.shape[1:] != (len(clips), classes):
            raise ValueError(f"{job.model}: logits {outcome.logits.shape} for {len(epochs)} epochs, {len(clips)} clips")
        result = FoldResult(job_id, clips, outcome.epochs, outcome.logits, seconds, device, environment)
        # A second, different result is kept beside the first one, where status and score find it.
        with suppress(Conflict):
            self._ledger.commit(result)

    def fail(self, job_id: str, reason: str) -> None:
        """Remember why a job gave no result."""
        self._ledger.record_failure(job_id, reason)
