"""What the ledger says of the jobs of searches: who is done, and how good it was on its validation subjects."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.problems import BadInput, Problem
from mer_data.storage.remembered import Remembered
from orchestrator.experiment.plan import Job, Plan, Study
from orchestrator.output.ledger import Ledger
from orchestrator.output.weights import without_weights
from orchestrator.score.validation import DivisionScore, believed, counted


class TrainedJobs:
    """Jobs that have ended, and the validation scores of those of searches.

    A search that is gone through again need not read the ledger's files: what was read of them is kept beside the
    search's history, for as long as they are the same files.
    """

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self._plan, self._ledger = plan, ledger
        self._out = ledger.root.parent
        self._done = ledger.ids() - without_weights(plan, self._out)
        self._kept: dict[str, Remembered] = {}
        self._young: dict[Path, tuple[str, str]] = {}

    def note(self, job: Job) -> None:
        """A job has ended."""
        if self._ledger.has(job.id):
            self._done.add(job.id)

    def has(self, job: Job) -> bool:
        """Whether its result is there."""
        return job.id in self._done

    def division_score(self, study: Study, job: Job) -> DivisionScore:
        """The validation scores of a study's job.

        Raises
        ------
        BadInput
            If the ledger's entry is missing or damaged.
        """
        path = self._ledger.root / f"{job.id}.arrow"
        try:
            text = self._remembered(study.name).get(path, lambda _: self._read(study, job, path))
        except FileNotFoundError:
            raise BadInput(Problem(str(path), "no such file", "run the same command again")) from None
        epochs, predicted, belief, seconds = json.loads(text)
        true, subject = self._truth(job)
        classes = len(self._plan.datasets[job.dataset].cohort.classes)
        counts = counted(np.array(predicted, np.int64), true, subject, classes)
        return DivisionScore(tuple(epochs), counts, np.array(belief), seconds)

    def _remembered(self, study: str) -> Remembered:
        """What is kept for a study. Its name holds a hash of all clips that it sees, with their classes."""
        if study not in self._kept:
            self._kept[study] = Remembered(self._out / "search" / f"{study}.scores.json", self._ledger.root)
        return self._kept[study]

    def _read(self, study: Study, job: Job, path: Path) -> str:
        result = self._ledger.read(job.id)
        position = {clip_id: index for index, clip_id in enumerate(result.clip_ids)}
        logits = result.logits[:, [position[clip_id] for clip_id in self._plan.fold(job).test_ids]]
        belief = believed(logits, self._truth(job)[0])
        text = json.dumps([result.epochs, logits.argmax(-1).tolist(), belief.tolist(), result.seconds])
        self._young[path] = study.name, text
        return text

    def _truth(self, job: Job) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Class index and index of the subject per validation clip, subjects in the order of their names."""
        cohort, ids = self._plan.datasets[job.dataset].cohort, self._plan.fold(job).test_ids
        true = np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in ids], np.int64)
        _, subject = np.unique([cohort.subject_of[clip_id] for clip_id in ids], return_inverse=True)
        return true, subject

    def save(self) -> None:
        """Keep what was read, also of files that were too young then; a result is never overwritten."""
        for path, (study, text) in self._young.items():
            self._keep(study, path, text)
        self._young.clear()
        for kept in self._kept.values():
            kept.save()

    def _keep(self, study: str, path: Path, text: str) -> None:
        with suppress(FileNotFoundError):
            self._remembered(study).get(path, lambda _: text)
