"""A hyper-parameter search: which fold of which configuration is trained next, and what the finished ones say.

Only answers for validation subjects, who are training subjects of the fold, are looked at; those for the held-out
subject stay in the ledger until everything is chosen. What happens does not depend on the number of workers, on the
order in which folds finish, or on kills: a configuration is proposed when exactly those before it, less the last
few, are finished; its race is judged fold by fold in a fixed order against the best configuration known at that
moment; and each proposal has a random seed of its own. So a search that was stopped is simply gone through again, with
the ledger instead of training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from optuna.storages import BaseStorage, JournalStorage

from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem
from mer_data.storage.remembered import Remembered
from orchestrator.experiment.plan import Job, Plan, Study
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import RaceState, SearchHistory, TriedConfiguration, final_jobs, limits
from orchestrator.output.weights import without_weights
from orchestrator.score.metrics import Counts, uf1
from orchestrator.score.validation import Choice, ValidationScore
from orchestrator.search.racing import is_worse, race_order
from orchestrator.search.sampler import Journal, Sampler

# Raised when `ValidationScore.of` says something else of the same answers.
_SCORES = 1


@dataclass
class Configuration:
    """One assignment of hyper-parameters, and how far its race has got.

    Attributes
    ----------
    number, params, jobs
        What it is, and its job for each fold, in the order of the race.
    rival
        The best configuration that was known when this one was proposed; the first one if none was.
    state
        ``running``, ``complete``, ``pruned`` or ``failed``.
    folds
        What each fold found, as far as the race goes, in its order.
    reason
        Why it failed.
    """

    number: int
    params: Mapping[str, Any]
    jobs: Sequence[Job]
    rival: Configuration | None
    state: RaceState = "running"
    folds: list[ValidationScore] = field(default_factory=list)
    reason: str = ""

    @property
    def counts(self) -> Counts:
        """Confusion matrices of its validation answers, ``[folds so far, true, predicted]``."""
        return np.array([one.counts for one in self.folds])

    @property
    def value(self) -> float:
        """UF1 of its validation answers, pooled over folds; what the sampler is told."""
        return float(uf1(self.counts.sum(0)))


class Trained:
    """What the ledger says of jobs: their validation scores, or why they failed."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self._plan, self._ledger = plan, ledger
        out = ledger.root.parent
        self._done = ledger.ids() - without_weights(plan, out)
        self._scores: dict[str, Remembered] = {}
        self._read: dict[Path, tuple[str, str]] = {}
        for study in plan.studies:
            cohort = plan.datasets[study.dataset].cohort
            # Of the classes of validation clips a job's id knows nothing.
            name = f"{study.dataset}.{digest([_SCORES, cohort.checksum, cohort.classes])[:8]}.scores.json"
            self._scores[study.dataset] = Remembered(out / "search" / name, ledger.root)

    def note(self, job: Job) -> None:
        """A job has ended."""
        if self._ledger.has(job.id):
            self._done.add(job.id)

    def has(self, job: Job) -> bool:
        """Whether its result is there."""
        return job.id in self._done

    def validation_score(self, job: Job) -> ValidationScore:
        """The validation scores of a job of a search. Answers for its test clips are not returned.

        Raises
        ------
        BadInput
            If the ledger's entry is missing or damaged.
        """
        path = self._ledger.root / f"{job.id}.arrow"
        try:
            text = self._scores[job.dataset].get(path, lambda _: self._score(job, path))
        except FileNotFoundError:
            raise BadInput(Problem(str(path), "no such file", "run the same command again")) from None
        epoch, uf1, confidence, counts, seconds = json.loads(text)
        return ValidationScore(epoch, uf1, confidence, np.array(counts, np.int64), seconds)

    def _score(self, job: Job, path: Path) -> str:
        """The fields of a job's validation scores."""
        cohort, validates = self._plan.datasets[job.dataset].cohort, self._plan.validates(job)
        result = self._ledger.read(job.id)
        position = {clip_id: index for index, clip_id in enumerate(result.clip_ids)}
        rows = [position[clip_id] for clip_id in validates]
        true = np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in validates], np.int64)
        one = ValidationScore.of(result.epochs, result.logits[:, rows], true, result.seconds)
        text = json.dumps([one.epoch, one.uf1, one.confidence, one.counts.tolist(), one.seconds])
        self._read[path] = job.dataset, text
        return text

    def save(self) -> None:
        """Keep the scores, so that a search that is gone through again need not read the ledger's files."""
        for path, (dataset, text) in self._read.items():
            self._remember(path, dataset, text)
        self._read.clear()
        for of_dataset in self._scores.values():
            of_dataset.save()

    def _remember(self, path: Path, dataset: str, text: str) -> None:
        """Try again with a file that was too young when it was read; a result is never overwritten."""
        with suppress(FileNotFoundError):
            self._scores[dataset].get(path, lambda _: text)


class StudyDriver:
    """A study while it runs: :meth:`take` gives the next job, :meth:`finish` takes note of one that has ended.

    Parameters
    ----------
    plan, study
        What is searched.
    trained
        What the ledger says.
    out
        The output folder; the study's history is written there.
    storage
        Where Optuna keeps its view of it.
    """

    def __init__(self, plan: Plan, study: Study, trained: Trained, out: Path, storage: BaseStorage) -> None:
        self._plan, self.study, self._trained = plan, study, trained
        self._out = out
        self._order = race_order(
            plan.datasets[study.dataset].validation[study.seed], plan.datasets[study.dataset].cohort
        )
        tried = SearchHistory.load(out, plan, study).configurations
        # What failed is tried again, so what was proposed when it had failed may have to be proposed anew.
        failed = next((one.number for one in tried if one.state == "failed"), len(tried))
        known = [one.params for one in tried[: failed + study.search.concurrent]]
        self._sampler = Sampler(study, storage, known)
        self._configurations: list[Configuration] = []
        self._issued: set[str] = set()
        self._failed: dict[str, str] = {}
        self._told = 0
        self._leader: Configuration | None = None  # the best of those told
        self._enough = False
        self._finals: list[Job] = []
        self.chosen: dict[str, Choice] | None = None

    def take(self) -> Job | None:
        """The next job to train; None if the study is over, or must wait for one that is running."""
        self.advance()
        for job in self._wanted():
            if job.id not in self._issued and job.id not in self._failed and not self._trained.has(job):
                self._issued.add(job.id)
                return job
        return None

    def finish(self, job: Job, failure: str | None) -> None:
        """Take note of a job that has ended, with its reason if it failed."""
        self._trained.note(job)
        if failure is not None and not self._trained.has(job):
            self._failed[job.id] = failure

    @property
    def left(self) -> int:
        """How many jobs may still be given out, at most."""
        folds = len(self._order)
        if self.chosen is not None:
            return sum(job.id not in self._issued and not self._trained.has(job) for job in self._finals)
        unproposed = 0 if self._enough else self.study.search.configurations - len(self._configurations)
        running = sum(folds - len(one.folds) for one in self._configurations if one.state == "running")
        return unproposed * folds + running + folds

    def advance(self) -> None:
        """Go as far as the results that are there allow."""
        changed = False
        while self.chosen is None:
            ended = sum(self._judge(one) for one in self._configurations if one.state == "running")
            proposed = self._propose()
            if self._settled:
                self._choose()
            changed = changed or bool(ended) or proposed or self.chosen is not None
            if not ended and not proposed:
                break
        if changed:
            # Once, at the end: what a resumed search goes through again must not take the place of what it had found.
            self._write()

    def _wanted(self) -> Iterator[Job]:
        """Jobs whose results are needed next, trained or not."""
        yield from self._finals
        for one in self._configurations:
            if one.state == "running":
                # Behind a fold that has failed the race does not go on, so nothing there is wanted.
                yield from takewhile(lambda job: job.id not in self._failed, one.jobs[len(one.folds) :])

    def _judge(self, one: Configuration) -> bool:
        """Go on with a configuration's race as far as its folds are trained; whether it has ended."""
        while one.state == "running":
            if len(one.folds) == len(one.jobs):
                one.state = "complete"
                break
            job = one.jobs[len(one.folds)]
            if job.id in self._failed:
                one.state, one.reason = "failed", f"{job.held_out}: {self._failed[job.id]}"
                self._without_rival(one)
            elif not self._trained.has(job) or self._must_wait(one):
                return False
            else:
                one.folds.append(self._trained.validation_score(job))
                racing = self.study.search.race and len(one.folds) < len(one.jobs)  # after the last, nothing is saved
                if racing and one.rival is not None and is_worse(one.counts, one.rival.counts, len(one.jobs)):
                    one.state = "pruned"
        return True

    def _without_rival(self, rival: Configuration) -> None:
        """A configuration that has failed is out, so none may stay stopped for having been worse than it."""
        for one in self._configurations:
            if one.rival is rival:
                one.rival = None
                if one.state == "pruned":
                    one.state = "running"

    def _must_wait(self, one: Configuration) -> bool:
        """Whether the rival is still running and has not got as far as this configuration's next fold."""
        rival = one.rival
        return rival is not None and rival.state == "running" and len(rival.folds) <= len(one.folds)

    @property
    def _settled(self) -> bool:
        """Whether nothing is proposed any more and every race has ended."""
        everything = self._enough or len(self._configurations) == self.study.search.configurations
        return everything and all(one.state != "running" for one in self._configurations)

    def _propose(self) -> bool:
        """Ask for configurations, each when exactly those before it, less the last few, are told to the sampler."""
        search, before = self.study.search, len(self._configurations)
        while not self._enough and len(self._configurations) < search.configurations:
            known = max(len(self._configurations) - search.concurrent + 1, 0)
            first = self._configurations[:known]
            if any(one.state == "running" for one in first):
                break
            for one in first[self._told :]:
                self._tell(one)
            self._told = max(self._told, known)
            if self._spent(first):
                self._enough = True
                break
            params = self._sampler.ask(len(self._configurations))
            recipe = replace(self.study.recipe, **params)
            fallback = next((one for one in self._configurations[:1] if one.state != "failed"), None)
            self._configurations.append(
                Configuration(
                    number=len(self._configurations),
                    params=params,
                    jobs=[self._plan.search_job(self.study, recipe, held_out) for held_out in self._order],
                    rival=self._leader or fallback,
                )
            )
        return len(self._configurations) > before

    def _tell(self, one: Configuration) -> None:
        value = one.value if one.state == "complete" else None
        if value is not None and (self._leader is None or value > self._leader.value):
            self._leader = one
        steps = uf1(one.counts.cumsum(0)).tolist() if one.folds else []
        self._sampler.tell(one.number, steps, value, one.reason)

    def _spent(self, finished: Sequence[Configuration]) -> bool:
        search = self.study.search
        trainings = sum(len(one.folds) for one in finished)
        hours = sum(cell.seconds for one in finished for cell in one.folds) / 3600
        return (search.trainings is not None and trainings >= search.trainings) or (
            search.hours is not None and hours >= search.hours
        )

    def _choose(self) -> None:
        """For each held-out subject, the configuration and epoch with the best score on its own inner division."""
        for one in self._configurations[self._told :]:
            self._tell(one)
        self._told = len(self._configurations)
        self.chosen = {}
        for index, held_out in enumerate(self._order):
            able = [one for one in self._configurations if one.state != "failed" and index < len(one.folds)]
            cells = [(one.folds[index], one.number) for one in able]
            if cells:
                best, number = max(cells, key=lambda cell: (cell[0].uf1, cell[0].confidence, -cell[1]))
                params = dict(self._configurations[number].params)
                self.chosen[held_out] = Choice(number, params, best.epoch, best.uf1)
        self._finals = final_jobs(self._plan, self.study, self.chosen)

    def _write(self) -> None:
        tried = (
            TriedConfiguration(
                number=configuration.number,
                params=configuration.params,
                state=configuration.state,
                folds=len(configuration.folds),
                inner_uf1=configuration.value if configuration.folds else None,
                reason=configuration.reason,
            )
            for configuration in self._configurations
        )
        ended = self._enough or len(self._configurations) == self.study.search.configurations
        if self.chosen is not None or not self._issued:  # at the beginning and at the end, since there may be many
            self._trained.save()
        history = SearchHistory(tuple(self._order), tuple(tried), ended, self.chosen, limits(self.study))
        history.save(self._out, self.study)


def optuna_storage(out: Path) -> BaseStorage:
    """A fresh journal ``optuna.log`` in the output folder: a view of the ledger, for Optuna's dashboard."""
    out.mkdir(parents=True, exist_ok=True)
    return JournalStorage(Journal(out / "optuna.log"))
