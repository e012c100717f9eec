"""Ledger joined with labels: what every model answered for every clip, under every selection rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem
from mer_data.protocols import Fold
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.output.search_history import histories
from orchestrator.report.searches import Searched, SearchedCell
from orchestrator.score import metrics
from orchestrator.score.calibration import log_softmax
from orchestrator.score.model_selection import RULES, Indices, Predictions

AGAIN = "run the experiment again"


@dataclass(frozen=True)
class Cell:
    """One model on one dataset in one configuration, or searched: what a row of the table is about."""

    model: str
    dataset: str
    configuration: str


Slot = tuple[str, int]  # what is held out, and the seed
Machine = tuple[str, tuple[tuple[str, str], ...]]  # a device, and the versions of what decided the numbers there


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
    folds
        By what is held out: training and test clips.
    clip_ids, held_out
        The tested clips and what was held out with them, per seed. A clip is tested once per run.
    runs
        The runs, by name: one for all folds, except under ``hde``, where each fold is a run of its own. Predictions of
        different runs are never pooled.
    run
        Run index per clip, per seed.
    true
        Class index per clip, per seed.
    predicted
        By rule name: class index per clip, per seed.
    log_probabilities
        Logarithms of the probabilities of the classes after the last kept epoch, float64 ``[clips, classes]`` per seed;
        None if the model's scores are no probabilities.
    epochs
        The epochs that any fold kept, ascending, per seed.
    by_epoch
        Confusion matrices after each of them, int64 ``[epochs, runs, true, predicted]`` per seed. A fold that did not
        keep an epoch answers as after the last one that it had kept until then.
    several_epochs
        Whether any fold kept more than one epoch: else an oracle has nothing to choose from.
    training_seconds
        Sum over the finished folds, a search's included.
    machines
        What trained the folds, and how many each.
    searched
        What the search tried, if there was one.
    """

    cell: Cell
    key: str
    protocol: str
    done: tuple[Job, ...]
    planned: tuple[Slot, ...]
    cohort: Cohort
    folds: Mapping[str, Fold]
    clip_ids: tuple[tuple[str, ...], ...]
    held_out: tuple[tuple[str, ...], ...]
    runs: tuple[str, ...]
    run: tuple[Indices, ...]
    true: tuple[Indices, ...]
    predicted: Mapping[str, tuple[Indices, ...]]
    log_probabilities: tuple[metrics.Floats, ...] | None
    epochs: tuple[tuple[int, ...], ...]
    by_epoch: tuple[metrics.Counts, ...]
    several_epochs: bool
    training_seconds: float
    machines: Mapping[Machine, int]
    searched: Searched | None = None

    @property
    def complete(self) -> bool:
        """Whether every fold is done."""
        return len(self.done) == len(self.planned)

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of what is done, ascending: the first axis of everything that is per seed."""
        return sorted({job.seed for job in self.done})

    @cached_property
    def subjects(self) -> list[str]:
        """The tested subjects, sorted."""
        return sorted({self.cohort.subject_of[clip] for clips in self.clip_ids for clip in clips})

    @cached_property
    def subject(self) -> tuple[Indices, ...]:
        """Index of the subject per clip, per seed."""
        position = {subject: index for index, subject in enumerate(self.subjects)}
        return tuple(np.array([position[self.cohort.subject_of[i]] for i in ids], np.int64) for ids in self.clip_ids)

    @cached_property
    def tested(self) -> metrics.Counts:
        """How many clips of a class are tested with any seed, int64 ``[runs, subjects, true]``."""
        return self.counted(self.true).sum(-1).max(0)  # type: ignore[no-any-return]

    @cached_property
    def trained(self) -> metrics.Counts:
        """How many clips of a class were trained on where a subject was tested, int64 ``[runs, subjects, true]``."""
        classes, label_of = self.cohort.classes, self.cohort.label_of
        found = np.zeros_like(self.tested)
        of_fold = {}
        for name in {name for names in self.held_out for name in names}:
            labels = Counter(label_of[clip_id] for clip_id in self.folds[name].train_ids)
            of_fold[name] = [labels[label] for label in classes]
        for seed, names in enumerate(self.held_out):
            for name, run, subject in set(zip(names, self.run[seed], self.subject[seed], strict=True)):
                found[run, subject] = of_fold[name]
        return found

    @cached_property
    def ensemble(self) -> Indices | None:
        """The class with the highest mean probability over the seeds, per clip; None if they cannot be averaged."""
        if self.log_probabilities is None or len(self.seeds) < 2 or len(set(self.clip_ids)) > 1:
            return None
        return np.exp(np.stack(self.log_probabilities)).mean(0).argmax(-1)  # type: ignore[no-any-return]

    def per_subject(self, rule: str) -> metrics.Counts:
        """Confusion matrices ``[seeds, runs, subjects, true, predicted]``."""
        return self.counted(self.predicted[rule])

    def counted(self, predicted: Sequence[Indices]) -> metrics.Counts:
        """The same of other answers: class index per clip, per seed."""
        classes = len(self.cohort.classes)
        counts = np.zeros((len(predicted), len(self.runs), len(self.subjects), classes, classes), np.int64)
        for seed, answers in enumerate(predicted):
            np.add.at(counts[seed], (self.run[seed], self.subject[seed], self.true[seed], answers), 1)
        return counts


def score_cells(
    plan: Plan, ledger: Ledger, *, partial: bool, remedy: str = f"{AGAIN}, or add --partial"
) -> list[CellPredictions]:
    """Join ledger and labels; `remedy` is what to do where folds are missing and `partial` is not set.

    Raises
    ------
    BadInput
        If jobs are missing and `partial` is not set, or if results of a job disagree.
    """
    conflicts = ledger.conflicts()
    if conflicts:
        both = f"{ledger.root}/{conflicts[0]}.arrow and {ledger.root}/conflicts/{conflicts[0]}.*"
        what = f"{len(conflicts)} jobs have two different results"
        raise BadInput(Problem(str(ledger.root), what, f"delete both results of each, {both}, and run again"))
    found = _listed_cells(plan, ledger) + _searched_cells(plan, ledger)
    missing = sum(len(of_cell.planned) - len(of_cell.done) for of_cell in found)
    if missing and not partial:
        of = sum(len(of_cell.planned) for of_cell in found)
        what = f"{missing} of {of} folds are missing, so the table is not complete"
        raise BadInput(Problem(str(ledger.root.parent), what, remedy))
    return [of_cell.scored(plan, ledger) for of_cell in found if of_cell.runs(plan.protocol)]


@dataclass(frozen=True)
class _FoundCell:
    """The jobs of a cell, before their results are read."""

    cell: Cell
    key: str
    planned: tuple[Slot, ...]
    done: tuple[Job, ...]
    search: SearchedCell | None = None

    def runs(self, protocol: str) -> tuple[str, ...]:
        """What is pooled by itself. A run that lacks a seed has no place in a mean, where it would count as zero."""
        if protocol != "hde":
            return ("all",) if self.done else ()
        missing = {held_out for held_out, _ in set(self.planned) - {(job.held_out, job.seed) for job in self.done}}
        return tuple(run for run in dict.fromkeys(held_out for held_out, _ in self.planned) if run not in missing)

    def scored(self, plan: Plan, ledger: Ledger) -> CellPredictions:
        """Read the results and apply the rules."""
        planned, runs = plan.datasets[self.cell.dataset], self.runs(plan.protocol)
        done = [job for job in self.done if runs == ("all",) or job.held_out in runs]
        clip_ids, held_out, true, run, believed, kept = [], [], [], [], [], []
        by_epoch: list[metrics.Counts] = []
        predicted: defaultdict[str, list[Indices]] = defaultdict(list)
        machines: Counter[Machine] = Counter()
        searched = self.search.read(plan, ledger) if self.search else None
        seconds, several_epochs = searched.seconds if searched else 0.0, False
        for seed in sorted({job.seed for job in done}):
            jobs = [job for job in done if job.seed == seed]
            results = [ledger.read(job.id) for job in jobs]
            kept.append(tuple(sorted({epoch for result in results for epoch in result.epochs})))
            candidates = _candidates(results, kept[-1], planned.cohort)
            lengths = [len(result.clip_ids) for result in results]
            seconds += sum(result.seconds for result in results)
            machines.update((result.device, tuple(sorted(result.environment.items()))) for result in results)
            several_epochs = several_epochs or any(len(result.epochs) > 1 for result in results)
            clip_ids.append(tuple(clip_id for result in results for clip_id in result.clip_ids))
            held_out.append(tuple(np.repeat([job.held_out for job in jobs], lengths).tolist()))
            true.append(candidates.true)
            run.append(np.repeat([0 if runs == ("all",) else runs.index(job.held_out) for job in jobs], lengths))
            by_epoch.append(_by_epoch(candidates, run[-1], len(runs)))
            believed.append(log_softmax(np.concatenate([result.logits[-1] for result in results])))
            for name, rule in RULES.items():
                if rule.oracle or name == plan.rule:
                    predicted[name].append(rule.choose(candidates))
        return CellPredictions(
            cell=self.cell,
            key=self.key,
            protocol=plan.protocol,
            done=tuple(done),
            planned=self.planned,
            cohort=planned.cohort,
            folds=planned.folds,
            clip_ids=tuple(clip_ids),
            held_out=tuple(held_out),
            runs=runs,
            run=tuple(run),
            true=tuple(true),
            predicted={name: tuple(seeds) for name, seeds in predicted.items()},
            log_probabilities=tuple(believed) if self.cell.model in plan.networks else None,
            epochs=tuple(kept),
            by_epoch=tuple(by_epoch),
            several_epochs=several_epochs,
            training_seconds=seconds,
            machines=machines,
            searched=searched,
        )


def _candidates(results: Sequence[FoldResult], epochs: Sequence[int], cohort: Cohort) -> Predictions:
    """The answers of all folds after each of the epochs that any of them kept.

    Folds of a searched model train for different numbers of epochs. One that did not keep an epoch, or had ended by
    then, is there with the last one it had kept until then (with its first one before that). So the last candidate is
    the last epoch of every fold.
    """
    answers = []
    for result in results:
        kept = np.searchsorted(result.epochs, epochs, side="right") - 1
        answers.append(result.logits.argmax(-1)[np.maximum(kept, 0)])
    ids = [clip_id for result in results for clip_id in result.clip_ids]
    return Predictions(
        predicted=np.concatenate(answers, axis=1),
        true=np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in ids], np.int64),
        fold=np.repeat(np.arange(len(results)), [len(result.clip_ids) for result in results]),
        classes=len(cohort.classes),
    )


def _by_epoch(candidates: Predictions, run: Indices, runs: int) -> metrics.Counts:
    """Confusion matrices ``[epochs, runs, true, predicted]`` of all candidates."""
    epochs, classes = len(candidates.predicted), candidates.classes
    row = (np.arange(epochs)[:, None] * runs + run) * classes + candidates.true
    flat = np.bincount((row * classes + candidates.predicted).ravel(), minlength=epochs * runs * classes**2)
    return flat.reshape(epochs, runs, classes, classes).astype(np.int64)


def _listed_cells(plan: Plan, ledger: Ledger) -> list[_FoundCell]:
    done = ledger.ids()
    cells: defaultdict[Cell, list[Job]] = defaultdict(list)
    for job in plan.jobs:
        cells[Cell(job.model, job.dataset, job.configuration)].append(job)
    return [
        _FoundCell(
            cell=cell,
            key=digest(sorted(job.id for job in jobs)),
            planned=tuple((job.held_out, job.seed) for job in jobs),
            done=tuple(job for job in jobs if job.id in done),
        )
        for cell, jobs in cells.items()
    ]


def _searched_cells(plan: Plan, ledger: Ledger) -> list[_FoundCell]:
    done = ledger.ids()
    cells: defaultdict[Cell, SearchedCell] = defaultdict(SearchedCell)
    for study, history in histories(plan, ledger.root.parent):
        count = study.search.configurations
        title = "epoch chosen" if count == 1 else f"best of {count}"
        cells[Cell(study.model, study.dataset, title)].add(study, history)
    return [
        _FoundCell(
            cell=cell,
            key=digest([cell.configuration, *sorted(study.name for study, _ in search.studies)]),
            planned=tuple((held_out, study.seed) for study, history in search.studies for held_out in history.group),
            done=tuple(
                job for study, history in search.studies for job in history.finals(plan, study) if job.id in done
            ),
            search=search,
        )
        for cell, search in cells.items()
    ]
