"""The history of a search as it is written beside the ledger: what was tried, how far it got, what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from mer_data.files import read, sealed_bytes, write_sealed
from orchestrator.experiment.plan import Job, Plan, Study
from orchestrator.output.ledger import Ledger
from orchestrator.score.validation import Choice

_REMEDY = "delete it and run the same command again"
Limits = tuple[int, int | None, float | None]
RaceState = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class TriedConfiguration:
    """A configuration.

    Attributes
    ----------
    number, params
        What it is: changes of the study's recipe.
    state
        How its race ended, if it has.
    divisions
        How many divisions it was trained on, as far as its race goes.
    epoch, inner_uf1
        Its best epoch over those divisions, and the UF1 of its validation answers there; None before the first.
    reason
        Why it failed.
    """

    number: int
    params: Mapping[str, Any]
    state: RaceState
    divisions: int
    epoch: int | None
    inner_uf1: float | None
    reason: str


@dataclass(frozen=True)
class SearchHistory:
    """A study's history so far.

    Attributes
    ----------
    group
        What is held out by the folds that the study serves.
    configurations
        In the order they were proposed.
    ended
        Whether no more are proposed.
    closed
        Whether all races have ended too, so that nothing changes any more.
    chosen
        What is trained for the group; None before the study is closed, or if every configuration failed.
    limits
        The number of configurations and the budget that it went by.
    """

    group: tuple[str, ...]
    configurations: tuple[TriedConfiguration, ...]
    ended: bool
    closed: bool
    chosen: Choice | None
    limits: Limits

    def save(self, out: Path, study: Study) -> None:
        """Write it aside and rename it."""
        write_sealed(_path(out, study), _adapter().dump_python(self, mode="json"))

    @staticmethod
    def load(out: Path, plan: Plan, study: Study) -> SearchHistory:
        """Read what :meth:`save` wrote; a study that has not begun has an empty history.

        Raises
        ------
        BadInput
            If the file is damaged.
        """
        path = _path(out, study)
        if not (path.exists() or path.is_symlink()):
            group = plan.datasets[study.dataset].groups[study.group]
            return SearchHistory(group, (), ended=False, closed=False, chosen=None, limits=limits(study))
        history: SearchHistory = read(path, lambda: _adapter().validate_json(sealed_bytes(path)), _REMEDY)
        # What was chosen by other limits is not what this search chooses.
        same = history.limits == limits(study)
        return history if same else replace(history, ended=False, closed=False, chosen=None)

    def unproposed(self, study: Study) -> int:
        """How many configurations may still be proposed."""
        return 0 if self.ended else max(study.search.configurations - len(self.configurations), 0)

    def jobs(self, plan: Plan, study: Study, tried: TriedConfiguration) -> list[Job]:
        """A configuration's job for each division."""
        recipe = replace(study.recipe, **tried.params)
        return [plan.search_job(study, recipe, division) for division in range(divisions_of(plan, study))]

    def finals(self, plan: Plan, study: Study) -> list[Job]:
        """The jobs that train what was chosen; none before the study is closed."""
        return final_jobs(plan, study, self.chosen)


@cache
def _adapter() -> TypeAdapter[SearchHistory]:
    return TypeAdapter(SearchHistory)  # made once: a search writes its history hundreds of times


def limits(study: Study) -> Limits:
    """What may be raised without making it another search: the number of configurations and the budget."""
    return study.search.configurations, study.search.trainings, study.search.hours


def divisions_of(plan: Plan, study: Study) -> int:
    """How many divisions a study cross-validates over."""
    return len(plan.datasets[study.dataset].divisions[study.seed][study.group])


def final_jobs(plan: Plan, study: Study, choice: Choice | None) -> list[Job]:
    """The jobs that train what was chosen, each on all training clips of one of the group's folds.

    They keep epochs on their way to the last one, which is the chosen one: for the columns that show what looking at
    the held-out subjects would have given.
    """
    if choice is None:
        return []
    recipe = replace(replace(study.recipe, **choice.params), epochs=choice.epoch)
    held_out = plan.datasets[study.dataset].groups[study.group]
    return [plan.final_job(study, recipe, name) for name in held_out]


def histories(plan: Plan, out: Path) -> Sequence[tuple[Study, SearchHistory]]:
    """Every study of a plan with its history.

    Raises
    ------
    BadInput
        If a file is damaged.
    """
    return [(study, SearchHistory.load(out, plan, study)) for study in plan.studies]


def _path(out: Path, study: Study) -> Path:
    return out / "search" / f"{study.name}.json"


def table_jobs(plan: Plan, out: Path) -> list[Job]:
    """The jobs whose answers make the table: those known beforehand, and what searches have chosen.

    Raises
    ------
    BadInput
        If the history of a search is damaged.
    """
    return [*plan.jobs, *(job for study, history in histories(plan, out) for job in history.finals(plan, study))]


def all_jobs(plan: Plan, out: Path) -> dict[str, Job]:
    """By id, every job that may be in the ledger: :func:`table_jobs`, and those of all configurations of searches.

    Raises
    ------
    BadInput
        If the history of a search is damaged.
    """
    tried = [
        job
        for study, history in histories(plan, out)
        for known in history.configurations
        for job in history.jobs(plan, study, known)
    ]
    return {job.id: job for job in [*table_jobs(plan, out), *tried]}


def note_failures(plan: Plan, ledger: Ledger) -> None:
    """Note in a ledger which jobs of searches have failed: of a capsule only the histories tell it.

    Raises
    ------
    BadInput
        If the history of a search is damaged.
    """
    for study, history in histories(plan, ledger.root.parent):
        for tried in history.configurations:
            if tried.state == "failed":
                job = history.jobs(plan, study, tried)[tried.divisions]
                if not ledger.has(job.id):
                    ledger.record_failure(job.id, tried.reason)
