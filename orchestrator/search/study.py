"""A hyper-parameter search: which training of which configuration comes next, and what the finished ones say.

A search serves one group of held-out subjects, and none of its jobs sees a clip of them: all that is decided here is
decided by validation subjects outside the group. What happens does not depend on the number of workers, on the order
in which jobs end, or on kills: a configuration is proposed when exactly those before it, less the last few, are
finished; its race is judged division by division against the best configuration known at that moment; and each
proposal has a random seed of its own. So a search that was stopped is simply gone through again, with the ledger
instead of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage

from orchestrator.experiment.plan import Job, Plan, Study
from orchestrator.output.search_history import (
    RaceState,
    SearchHistory,
    TriedConfiguration,
    divisions_of,
    final_jobs,
    limits,
)
from orchestrator.output.trained import TrainedJobs
from orchestrator.score.validation import Choice, DivisionScore, ValidationScore, pooled_score
from orchestrator.search.racing import is_worse
from orchestrator.search.sampler import Journal, Sampler


@dataclass
class Configuration:
    """One assignment of hyper-parameters, and how far its race has got.

    Attributes
    ----------
    number, params, jobs
        What it is, and its job for each division, in the order of the race.
    rival
        The best configuration that was known when this one was proposed; the first one if none was.
    state
        ``running``, ``complete``, ``pruned`` or ``failed``.
    scores
        What each division found, as far as the race goes.
    reason
        Why it failed.
    """

    number: int
    params: Mapping[str, Any]
    jobs: Sequence[Job]
    rival: Configuration | None
    state: RaceState = "running"
    scores: list[DivisionScore] = field(default_factory=list)
    reason: str = ""
    _pooled: dict[int, ValidationScore] = field(default_factory=dict)

    def pooled(self, divisions: int) -> ValidationScore:
        """Its score over its first divisions."""
        if divisions not in self._pooled:
            self._pooled[divisions] = pooled_score(self.scores[:divisions])
        return self._pooled[divisions]

    @property
    def score(self) -> ValidationScore:
        """Its score over all divisions so far; what the sampler is told when they are all there."""
        return self.pooled(len(self.scores))


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

    def __init__(self, plan: Plan, study: Study, trained: TrainedJobs, out: Path, storage: BaseStorage) -> None:
        self._plan, self.study, self._trained = plan, study, trained
        self._out = out
        planned = plan.datasets[study.dataset]
        self._divisions = divisions_of(plan, study)
        self._group, self._groups = planned.groups[study.group], len(planned.groups)
        validating = [division.validation_ids for division in planned.divisions[study.seed][study.group]]
        self._subjects = len({planned.cohort.subject_of[clip_id] for ids in validating for clip_id in ids})
        tried = SearchHistory.load(out, plan, study).configurations
        # What failed is tried again, so what was proposed when it had failed may have to be proposed anew.
        failed = next((known.number for known in tried if known.state == "failed"), len(tried))
        params = [known.params for known in tried[: failed + study.search.concurrent]]
        self._sampler = Sampler(study, storage, params)
        self._configurations: list[Configuration] = []
        self._issued: set[str] = set()
        self._failed: dict[str, str] = {}
        self._told = 0
        self._leader: Configuration | None = None  # the best of those told
        self._enough = False
        self._finals: list[Job] = []
        self._closed = False
        self.chosen: Choice | None = None

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
        if self._closed:
            return sum(job.id not in self._issued and not self._trained.has(job) for job in self._finals)
        unproposed = 0 if self._enough else self.study.search.configurations - len(self._configurations)
        racing = (known for known in self._configurations if known.state == "running")
        running = sum(self._divisions - len(known.scores) for known in racing)
        return unproposed * self._divisions + running + len(self._group)

    def advance(self) -> None:
        """Go as far as the results that are there allow."""
        changed = False
        while not self._closed:
            racing = [known for known in self._configurations if known.state == "running"]
            ended = sum(self._judge(configuration) for configuration in racing)
            proposed = self._propose()
            if self._settled:
                self._choose()
            changed = changed or bool(ended) or proposed or self._closed
            if not ended and not proposed:
                break
        if changed:
            # Once, at the end: what a resumed search goes through again must not take the place of what it had found.
            self._write()

    def _wanted(self) -> Iterator[Job]:
        """Jobs whose results are needed next, trained or not."""
        yield from self._finals
        for configuration in self._configurations:
            if configuration.state == "running":
                # Behind a division that has failed the race does not go on, so nothing there is wanted.
                ahead = configuration.jobs[len(configuration.scores) :]
                yield from takewhile(lambda job: job.id not in self._failed, ahead)

    def _judge(self, racer: Configuration) -> bool:
        """Go on with a configuration's race as far as its divisions are trained; whether it has ended."""
        while racer.state == "running":
            if len(racer.scores) == len(racer.jobs):
                racer.state = "complete"
                break
            job = racer.jobs[len(racer.scores)]
            if job.id in self._failed:
                racer.state = "failed"
                racer.reason = f"division {len(racer.scores) + 1}: {self._failed[job.id]}"
                self._without_rival(racer)
            elif not self._trained.has(job) or self._must_wait(racer):
                return False
            else:
                racer.scores.append(self._trained.division_score(self.study, job))
                if self._is_stopped(racer):
                    racer.state = "pruned"
        return True

    def _is_stopped(self, racer: Configuration) -> bool:
        rival, done = racer.rival, len(racer.scores)
        # After the last division nothing is saved; nothing is judged beyond what the rival has.
        if not self.study.search.race or rival is None or not done < len(racer.jobs) or len(rival.scores) < done:
            return False
        return is_worse(racer.score.counts, rival.pooled(done).counts, done, self._subjects)

    def _without_rival(self, rival: Configuration) -> None:
        """A configuration that has failed is out, so none may stay stopped for having been worse than it."""
        for configuration in self._configurations:
            if configuration.rival is rival:
                configuration.rival = None
                if configuration.state == "pruned":
                    configuration.state = "running"

    def _must_wait(self, racer: Configuration) -> bool:
        """Whether the rival is still running and has not got as far as this configuration's next division."""
        rival = racer.rival
        return rival is not None and rival.state == "running" and len(rival.scores) <= len(racer.scores)

    @property
    def _settled(self) -> bool:
        """Whether nothing is proposed any more and every race has ended."""
        everything = self._enough or len(self._configurations) == self.study.search.configurations
        return everything and all(known.state != "running" for known in self._configurations)

    def _propose(self) -> bool:
        """Ask for configurations, each when exactly those before it, less the last few, are told to the sampler."""
        search, before = self.study.search, len(self._configurations)
        while not self._enough and len(self._configurations) < search.configurations:
            known = max(len(self._configurations) - search.concurrent + 1, 0)
            first = self._configurations[:known]
            if any(configuration.state == "running" for configuration in first):
                break
            for configuration in first[self._told :]:
                self._tell(configuration)
            self._told = max(self._told, known)
            if self._spent(first):
                self._enough = True
                break
            params = self._sampler.ask(len(self._configurations))
            recipe = replace(self.study.recipe, **params)
            fallback = next((known for known in self._configurations[:1] if known.state != "failed"), None)
            jobs = [self._plan.search_job(self.study, recipe, division) for division in range(self._divisions)]
            number, rival = len(self._configurations), self._leader or fallback
            self._configurations.append(Configuration(number, params, jobs, rival))
        return len(self._configurations) > before

    def _tell(self, configuration: Configuration) -> None:
        value = configuration.score.uf1 if configuration.state == "complete" else None
        if value is not None and (self._leader is None or value > self._leader.score.uf1):
            self._leader = configuration
        steps = [configuration.pooled(done).uf1 for done in range(1, len(configuration.scores) + 1)]
        self._sampler.tell(configuration.number, steps, value, configuration.reason)

    def _spent(self, finished: Sequence[Configuration]) -> bool:
        """Whether the group's share of the budget is used up."""
        search = self.study.search
        trainings = sum(len(configuration.scores) for configuration in finished)
        hours = sum(score.seconds for configuration in finished for score in configuration.scores) / 3600
        return (search.trainings is not None and trainings >= search.trainings / self._groups) or (
            search.hours is not None and hours >= search.hours / self._groups
        )

    def _choose(self) -> None:
        """For the whole group, the configuration with the best score over all divisions, at its best epoch."""
        for configuration in self._configurations[self._told :]:
            self._tell(configuration)
        self._told = len(self._configurations)
        self._closed = True
        able = [known for known in self._configurations if known.state == "complete"]
        if able:
            best = max(able, key=lambda known: (known.score.uf1, known.score.confidence, -known.number))
            self.chosen = Choice(best.number, dict(best.params), best.score.epoch, best.score.uf1)
        self._finals = final_jobs(self._plan, self.study, self.chosen)

    def _write(self) -> None:
        tried = (
            TriedConfiguration(
                number=known.number,
                params=known.params,
                state=known.state,
                divisions=len(known.scores),
                epoch=known.score.epoch if known.scores else None,
                inner_uf1=known.score.uf1 if known.scores else None,
                reason=known.reason,
            )
            for known in self._configurations
        )
        ended = self._enough or len(self._configurations) == self.study.search.configurations
        if self._closed or not self._issued:  # at the beginning and at the end, since there may be many
            self._trained.save()
        history = SearchHistory(self._group, tuple(tried), ended, self._closed, self.chosen, limits(self.study))
        history.save(self._out, self.study)


def optuna_storage(out: Path) -> BaseStorage:
    """A fresh journal ``optuna.log`` in the output folder: a view of the ledger, for Optuna's dashboard."""
    out.mkdir(parents=True, exist_ok=True)
    return JournalStorage(Journal(out / "optuna.log"))
