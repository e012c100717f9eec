"""Ledger joined with labels: what every model answered for every clip, under every selection rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.plan import Job, Plan, Study
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.output.search_history import SearchHistory, histories
from orchestrator.score import metrics
from orchestrator.score.model_selection import RULES, Indices, Predictions


@dataclass(frozen=True)
class Cell:
    """One model on one dataset in one configuration, or searched: what a row of the table is about."""

    model: str
    dataset: str
    configuration: str


Slot = tuple[str, int]  # what is held out, and the seed


@dataclass(frozen=True)
class Searched:
    """What a search tried and what that would have scored.

    Attributes
    ----------
    proposed, complete, pruned, failed
        Configurations, over all seeds.
    trainings, avoided
        Folds trained for the search, and folds of the full grid that were not.
    counts
        Per seed, confusion matrices ``[complete configurations, subjects, true, predicted]`` of the test answers of the
        configurations that went through all folds, at their last epoch, trained without the validation subjects;
        subjects as :meth:`CellPredictions.per_subject` sorts them. For estimates of optimism only: nothing was
        chosen by them.
    """

    proposed: int
    complete: int
    pruned: int
    failed: int
    trainings: int
    avoided: int
    counts: tuple[metrics.Counts, ...]


@dataclass(frozen=True)
class CellPredictions:
    """A cell's predictions under every rule, for the folds that are done.

    Attributes
    ----------
    cell
        What was run.
    key
        Hash of the jobs or searches behind it.
    protocol
        Its protocol.
    done, planned
        The jobs that are scored, and what is held out with which seed if all are done.
    cohort
        Clips and labels.
    clip_ids
        The tested clips, per seed. A clip is tested once per run.
    runs
        The runs, by name: one for all folds, except under ``hde``, where each fold is a run of its own. Predictions of
        different runs are never pooled.
    run
        Run index per clip, per seed.
    true
        Class index per clip, per seed.
    predicted
        By rule name: class index per clip, per seed.
    training_seconds
        Sum over the finished folds, a search's included.
    searched
        What the search tried, if there was one.
    """

    cell: Cell
    key: str
    protocol: str
    done: tuple[Job, ...]
    planned: tuple[Slot, ...]
    cohort: Cohort
    clip_ids: tuple[tuple[str, ...], ...]
    runs: tuple[str, ...]
    run: tuple[Indices, ...]
    true: tuple[Indices, ...]
    predicted: Mapping[str, tuple[Indices, ...]]
    training_seconds: float
    searched: Searched | None = None

    @property
    def complete(self) -> bool:
        """Whether every fold is done."""
        return len(self.done) == len(self.planned)

    def per_subject(self, rule: str) -> tuple[metrics.Counts, list[str]]:
        """Confusion matrices ``[seeds, runs, subjects, true, predicted]`` and the subjects, sorted."""
        subjects = sorted({self.cohort.subject_of[clip] for clips in self.clip_ids for clip in clips})
        position = {subject: index for index, subject in enumerate(subjects)}
        classes = len(self.cohort.classes)
        counts = np.zeros((len(self.clip_ids), len(self.runs), len(subjects), classes, classes), np.int64)
        for seed, clips in enumerate(self.clip_ids):
            rows = np.array([position[self.cohort.subject_of[clip]] for clip in clips])
            np.add.at(counts[seed], (self.run[seed], rows, self.true[seed], self.predicted[rule][seed]), 1)
        return counts, subjects


def score_cells(plan: Plan, ledger: Ledger, *, partial: bool) -> list[CellPredictions]:
    """Join ledger and labels.

    Raises
    ------
    BadInput
        If jobs are missing and `partial` is not set, or if results of a job disagree.
    """
    conflicts = ledger.conflicts()
    if conflicts:
        one = f"{ledger.root}/{conflicts[0]}.arrow and {ledger.root}/conflicts/{conflicts[0]}.*"
        what = f"{len(conflicts)} jobs have two different results"
        raise BadInput(Problem(str(ledger.root), what, f"delete both results of each, {one}, and run again"))
    found = _listed_cells(plan, ledger) + _searched_cells(plan, ledger)
    missing = sum(len(one.planned) - len(one.done) for one in found)
    if missing and not partial:
        of = sum(len(one.planned) for one in found)
        what = f"{missing} of {of} folds are missing, so the table is not complete"
        raise BadInput(Problem(str(ledger.root.parent), what, "run the experiment again, or add --partial"))
    return [one.scored(plan, ledger) for one in found if one.runs(plan.protocol)]


@dataclass(frozen=True)
class _Found:
    """The jobs of a cell, before their results are read."""

    cell: Cell
    key: str
    planned: tuple[Slot, ...]
    done: tuple[Job, ...]
    searches: tuple[tuple[Study, SearchHistory], ...] = ()

    def runs(self, protocol: str) -> tuple[str, ...]:
        """What is pooled by itself. A run that lacks a seed has no place in a mean, where it would count as zero."""
        if protocol != "hde":
            return ("all",) if self.done else ()
        missing = {held_out for held_out, _ in set(self.planned) - {(job.held_out, job.seed) for job in self.done}}
        return tuple(run for run in dict.fromkeys(held_out for held_out, _ in self.planned) if run not in missing)

    def scored(self, plan: Plan, ledger: Ledger) -> CellPredictions:
        """Read the results and apply the rules."""
        cohort, runs = plan.datasets[self.cell.dataset].cohort, self.runs(plan.protocol)
        done = [job for job in self.done if runs == ("all",) or job.held_out in runs]
        clip_ids, true, run, counts = [], [], [], []
        predicted: defaultdict[str, list[Indices]] = defaultdict(list)
        seconds = 0.0
        tested = {clip_id for job in done for clip_id in plan.fold(job).test_ids}
        subjects = sorted({cohort.subject_of[clip_id] for clip_id in tested})
        for seed in sorted({job.seed for job in done}):
            jobs = [job for job in done if job.seed == seed]
            results = [ledger.read(job.id) for job in jobs]
            lengths = [len(result.clip_ids) for result in results]
            ids = tuple(clip_id for result in results for clip_id in result.clip_ids)
            answers = np.concatenate([result.logits.argmax(-1) for result in results], axis=1)
            of_seed = _predictions(answers, cohort, ids, lengths)
            seconds += sum(result.seconds for result in results)
            clip_ids.append(ids)
            true.append(of_seed.true)
            run.append(np.repeat([0 if runs == ("all",) else runs.index(job.held_out) for job in jobs], lengths))
            predicted[plan.rule].append(of_seed.predicted[-1])
            candidates = of_seed
            for study, history in self.searches:
                if study.seed == seed:
                    tried = _TestAnswers.read(plan, ledger, study, history, jobs)
                    candidates = _predictions(tried.answers, cohort, ids, lengths)
                    counts.append(tried.counts(candidates, subjects, [cohort.subject_of[clip_id] for clip_id in ids]))
                    seconds += tried.seconds
            for name, rule in RULES.items():
                if rule.oracle:
                    predicted[name].append(rule.choose(candidates))
        return CellPredictions(
            cell=self.cell,
            key=self.key,
            protocol=plan.protocol,
            done=tuple(done),
            planned=self.planned,
            cohort=cohort,
            clip_ids=tuple(clip_ids),
            runs=runs,
            run=tuple(run),
            true=tuple(true),
            predicted={name: tuple(seeds) for name, seeds in predicted.items()},
            training_seconds=seconds,
            searched=self._searched(tuple(counts)) if self.searches else None,
        )

    def _searched(self, counts: tuple[metrics.Counts, ...]) -> Searched:
        tried = [one for _, history in self.searches for one in history.configurations]
        trainings = sum(one.folds for one in tried)
        grid = sum(study.search.configurations * len(history.folds) for study, history in self.searches)
        states = [one.state for one in tried]
        return Searched(
            proposed=len(tried),
            complete=states.count("complete"),
            pruned=states.count("pruned"),
            failed=states.count("failed"),
            trainings=trainings,
            avoided=grid - trainings,
            counts=counts,
        )


@dataclass(frozen=True)
class _TestAnswers:
    """What the complete configurations of a study answered for the held-out clips.

    Attributes
    ----------
    answers
        Class index, int64 ``[configurations and their kept epochs, clips]``.
    last
        Which of the rows are a configuration's last epoch.
    seconds
        What training all configurations took.
    """

    answers: Indices
    last: tuple[int, ...]
    seconds: float

    @staticmethod
    def read(plan: Plan, ledger: Ledger, study: Study, history: SearchHistory, finals: Sequence[Job]) -> _TestAnswers:
        """Read the answers, clips in the order of `finals`."""
        rows, last, seconds = [], [], 0.0
        for one in history.configurations:
            jobs = {job.held_out: job for job in history.jobs(plan, study, one)[: one.folds]}
            results = {held_out: ledger.read(job.id) for held_out, job in jobs.items()}
            seconds += sum(result.seconds for result in results.values())
            if one.state == "complete":
                tested = [_test_answers(plan, jobs[job.held_out], results[job.held_out]) for job in finals]
                rows.append(np.concatenate(tested, axis=1))
                last.append(sum(map(len, rows)) - 1)
        return _TestAnswers(np.concatenate(rows), tuple(last), seconds)

    def counts(self, candidates: Predictions, subjects: Sequence[str], of_clips: Sequence[str]) -> metrics.Counts:
        """Confusion matrices ``[configurations, subjects, true, predicted]`` at the last epochs."""
        subject = np.searchsorted(subjects, of_clips)
        shape = len(self.last), len(subjects), candidates.classes, candidates.classes
        counts = np.zeros(shape, np.int64)
        for row, answers in enumerate(self.answers[list(self.last)]):
            np.add.at(counts[row], (subject, candidates.true, answers), 1)
        return counts


def _test_answers(plan: Plan, job: Job, result: FoldResult) -> Indices:
    """A search job's answers for its held-out clips, ``[kept epochs, clips]``."""
    position = {clip_id: index for index, clip_id in enumerate(result.clip_ids)}
    rows = [position[clip_id] for clip_id in plan.datasets[job.dataset].folds[job.held_out].test_ids]
    answers: Indices = result.logits[:, rows].argmax(-1)
    return answers


def _predictions(answers: Indices, cohort: Cohort, clip_ids: Sequence[str], lengths: Sequence[int]) -> Predictions:
    return Predictions(
        predicted=answers,
        true=np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in clip_ids], np.int64),
        fold=np.repeat(np.arange(len(lengths)), lengths),
        classes=len(cohort.classes),
    )


def _listed_cells(plan: Plan, ledger: Ledger) -> list[_Found]:
    done = ledger.ids()
    cells: defaultdict[Cell, list[Job]] = defaultdict(list)
    for job in plan.jobs:
        cells[Cell(job.model, job.dataset, job.configuration)].append(job)
    return [
        _Found(
            cell=cell,
            key=digest(sorted(job.id for job in jobs)),
            planned=tuple((job.held_out, job.seed) for job in jobs),
            done=tuple(job for job in jobs if job.id in done),
        )
        for cell, jobs in cells.items()
    ]


def _searched_cells(plan: Plan, ledger: Ledger) -> list[_Found]:
    done = ledger.ids()
    cells: defaultdict[Cell, list[tuple[Study, SearchHistory]]] = defaultdict(list)
    for study, history in histories(plan, ledger.root.parent):
        count = study.search.configurations
        title = "epoch chosen" if count == 1 else f"best of {count}"
        cells[Cell(study.model, study.dataset, title)].append((study, history))
    return [
        _Found(
            cell=cell,
            key=digest([cell.configuration, *sorted(study.name for study, _ in searches)]),
            planned=tuple(
                (held_out, study.seed) for study, _ in searches for held_out in plan.datasets[cell.dataset].folds
            ),
            done=tuple(job for study, history in searches for job in history.finals(plan, study) if job.id in done),
            searches=tuple(searches),
        )
        for cell, searches in cells.items()
    ]
