"""A hyper-parameter search: which fold of which configuration is trained next, and what the finished ones say.

Only answers for validation subjects, who are training subjects of the fold, are looked at; those for the held-out
subject stay in the ledger until everything is chosen. What happens does not depend on the number of workers, on the
order in which folds finish, or on kills: a configuration is proposed when exactly those before it, less the last
few, are finished; its race is judged fold by fold in a fixed order against the best configuration known at that
moment; and each proposal has a random seed of its own. So a search that was stopped is simply gone through again, with
the ledger instead of training.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from mer_data.hashing import digest
from mer_models.spec import Range
from orchestrator.checkpoints import without_weights
from orchestrator.choices import Cohort
from orchestrator.course import Course, State, Tried, final_jobs, limits
from orchestrator.ledger import Ledger
from orchestrator.plan import Job, Plan, Study
from orchestrator.score.inner import Choice, Inner, pooled

optuna.logging.set_verbosity(logging.WARNING)

# Nothing is judged on fewer folds: before 5 the test cannot give less than 0.05.
_FIRST_FOLDS, _P_VALUE = 6, 0.05


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
    state: State = "running"
    folds: list[Inner] = field(default_factory=list)
    reason: str = ""

    @property
    def value(self) -> float:
        """UF1 of its validation answers, pooled over folds; what the sampler is told."""
        return pooled(self.folds)


class Trained:
    """What the ledger says of jobs: their validation scores, or why they failed."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self._plan, self._ledger = plan, ledger
        self._done = ledger.ids() - without_weights(plan, ledger.root.parent)

    def note(self, job: Job) -> None:
        """A job has ended."""
        if self._ledger.has(job.id):
            self._done.add(job.id)

    def has(self, job: Job) -> bool:
        """Whether its result is there."""
        return job.id in self._done

    def inner(self, job: Job) -> Inner:
        """The validation scores of a job of a search. Answers for its test clips are not returned."""
        cohort, validates = self._plan.cohorts[job.dataset], self._plan.validates(job)
        result = self._ledger.read(job.id)
        position = {clip_id: index for index, clip_id in enumerate(result.clip_ids)}
        rows = [position[clip_id] for clip_id in validates]
        true = np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in validates], np.int64)
        return Inner.of(result.epochs, result.logits[:, rows], true, result.seconds)


class StudyRun:
    """A study while it runs: :meth:`take` gives the next job, :meth:`finish` takes note of one that has ended.

    Parameters
    ----------
    plan, study
        What is searched.
    trained
        What the ledger says.
    out
        The output folder; the study's course is written there.
    storage
        Where Optuna keeps its view of it.
    """

    def __init__(self, plan: Plan, study: Study, trained: Trained, out: Path, storage: BaseStorage) -> None:
        self._plan, self.study, self._trained = plan, study, trained
        self._out = out
        self._order = race_order(plan.validation[study.dataset][study.seed], plan.cohorts[study.dataset])
        tried = Course.load(out, plan, study).configurations
        # What failed is tried again, so what was proposed when it had failed may have to be proposed anew.
        failed = next((one.number for one in tried if one.state == "failed"), len(tried))
        known = [one.params for one in tried[: failed + study.search.concurrent]]
        self._proposals = _Proposals(study, storage, known)
        self._configurations: list[Configuration] = []
        self._issued: set[str] = set()
        self._failed: dict[str, str] = {}
        self._told = 0
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
                one.folds.append(self._trained.inner(job))
                racing = self.study.search.race and len(one.folds) < len(one.jobs)  # after the last, nothing is saved
                if racing and one.rival is not None and _is_worse(one, one.rival):
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
                self._proposals.tell(one)
            self._told = max(self._told, known)
            if self._spent(first):
                self._enough = True
                break
            params = self._proposals.ask(len(self._configurations))
            recipe = replace(self.study.recipe, **params)
            fallback = next((one for one in self._configurations[:1] if one.state != "failed"), None)
            rivals = [one for one in first if one.state == "complete"]
            self._configurations.append(
                Configuration(
                    number=len(self._configurations),
                    params=params,
                    jobs=[self._plan.search_job(self.study, recipe, held_out) for held_out in self._order],
                    rival=max(rivals, key=lambda one: (one.value, -one.number), default=fallback),
                )
            )
        return len(self._configurations) > before

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
            self._proposals.tell(one)
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
            Tried(one.number, one.params, one.state, len(one.folds), one.value if one.folds else None, one.reason)
            for one in self._configurations
        )
        ended = self._enough or len(self._configurations) == self.study.search.configurations
        Course(tuple(self._order), tuple(tried), ended, self.chosen, limits(self.study)).save(self._out, self.study)


class _Proposals:
    """The sampler, behind an Optuna study that is made anew from what is known."""

    def __init__(self, study: Study, storage: BaseStorage, known: Sequence[Mapping[str, Any]]) -> None:
        self._study, self._known = study, known
        self._space = {name: _distribution(values) for name, values in study.space.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._optuna = optuna.create_study(study_name=study.name, storage=storage, direction="maximize")
        self._trials: list[optuna.Trial] = []

    def ask(self, number: int) -> dict[str, Any]:
        """The parameters of a configuration: as they were, if it was proposed before; else the sampler's."""
        fixed = self._known[number] if number < len(self._known) else self._published() if number == 0 else None
        if fixed is not None and self._space:
            self._optuna.enqueue_trial(dict(fixed))
        # A seed for each proposal: what a sampler proposes does not depend on how often it was started.
        self._optuna.sampler = _sampler(self._study, number)
        trial = self._optuna.ask(self._space)
        self._trials.append(trial)
        return dict(trial.params)

    def _published(self) -> dict[str, Any] | None:
        """The published recipe, if the space contains it."""
        values = {name: getattr(self._study.recipe, name) for name in self._space}
        return values if all(_is_in(values[name], one) for name, one in self._study.space.items()) else None

    def tell(self, one: Configuration) -> None:
        """Report a configuration whose race has ended."""
        trial = self._trials[one.number]
        for step, cell in enumerate(one.folds):
            trial.report(cell.confidence, step)
        if one.state == "complete":
            self._optuna.tell(trial, one.value)
            return
        if one.reason:
            trial.set_user_attr("reason", one.reason[:500])
        self._optuna.tell(trial, state=TrialState.PRUNED if one.state == "pruned" else TrialState.FAIL)


def _is_in(value: Any, values: Range | tuple[Any, ...]) -> bool:
    return value in values if isinstance(values, tuple) else values.low <= value <= values.high


def _distribution(values: Range | tuple[Any, ...]) -> BaseDistribution:
    if isinstance(values, tuple):
        return CategoricalDistribution(values)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _sampler(study: Study, number: int) -> optuna.samplers.BaseSampler:
    seed = int(digest([study.model, study.dataset, study.seed, study.search.seed, number])[:8], 16)
    if study.search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if study.search.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
    return optuna.samplers.RandomSampler(seed=seed)


def _is_worse(one: Configuration, rival: Configuration) -> bool:
    """Whether a configuration is significantly worse than another on the folds it has, by Optuna's pruner.

    Wilcoxon's signed-rank test on the probability that the validation clips' true class gets, in the mean over
    classes: a continuous score, so ties are rare, and defined for every fold, which UF1 is not.
    """
    count = len(one.folds)
    if not _FIRST_FOLDS <= count <= len(rival.folds):
        return False
    if _steps(one, count) == _steps(rival, count):  # equal answers: nothing to test, and slow to
        return False
    duel = optuna.create_study(direction="maximize")
    duel.add_trial(create_trial(value=0.0, intermediate_values=_steps(rival, count)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=_P_VALUE, n_startup_steps=_FIRST_FOLDS)
    running = create_trial(state=TrialState.RUNNING, intermediate_values=_steps(one, count))
    return pruner.prune(duel, running)


def _steps(one: Configuration, count: int) -> dict[int, float]:
    return {step: cell.confidence for step, cell in enumerate(one.folds[:count])}


def optuna_storage(out: Path) -> BaseStorage:
    """A fresh journal ``optuna.log`` in the output folder: a view of the ledger, for Optuna's dashboard."""
    path = out / "optuna.log"
    out.mkdir(parents=True, exist_ok=True)
    for old in (path, Path(f"{path}.lock")):  # of a driver that was killed, too
        old.unlink(missing_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def race_order(validation: Mapping[str, Sequence[str]], cohort: Cohort) -> list[str]:
    """The folds in an order in which the first ones say much.

    Each fold validates on a fifth of the subjects. Next comes always the fold whose validation clips were validated
    on least so far, rare classes counting as much as frequent ones.
    """
    names = sorted(validation)
    position = {clip_id: index for index, clip_id in enumerate(cohort.clip_ids)}
    frequency = {label: cohort.labels.count(label) for label in cohort.classes}
    weight = np.array([1 / frequency[label] for label in cohort.labels])
    used = np.zeros((len(names), len(weight)), bool)
    for row, name in enumerate(names):
        used[row, [position[clip_id] for clip_id in validation[name]]] = True
    times = np.zeros(len(weight))
    order: list[str] = []
    left = list(range(len(names)))
    while left:
        gain = (used[left] * (weight / (1 + times))).sum(1)
        best = left.pop(int(gain.argmax()))
        times += used[best]
        order.append(names[best])
    return order
