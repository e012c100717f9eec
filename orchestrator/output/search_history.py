"""The history of a search as it is written beside the ledger: what was tried, how far it got, what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from mer_data.files import read, write_json
from orchestrator.experiment.plan import Job, Plan, Study
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
    folds
        How many folds of the race it took part in.
    inner_uf1
        UF1 of its validation answers, pooled over those folds; None before the first.
    reason
        Why it failed.
    """

    number: int
    params: Mapping[str, Any]
    state: RaceState
    folds: int
    inner_uf1: float | None
    reason: str


@dataclass(frozen=True)
class SearchHistory:
    """A study's history so far.

    Attributes
    ----------
    folds
        What is held out, in the order of the race.
    configurations
        In the order they were proposed.
    ended
        Whether no more are proposed.
    chosen
        What is trained for each held-out subject; None before all races have ended.
    limits
        The number of configurations and the budget that it went by.
    """

    folds: tuple[str, ...]
    configurations: tuple[TriedConfiguration, ...]
    ended: bool
    chosen: Mapping[str, Choice] | None
    limits: Limits

    def save(self, out: Path, study: Study) -> None:
        """Write it aside and rename it."""
        write_json(_path(out, study), TypeAdapter(SearchHistory).dump_python(self, mode="json"))

    @staticmethod
    def load(out: Path, plan: Plan, study: Study) -> SearchHistory:
        """Read what :meth:`save` wrote; a study that has not begun has an empty history.

        Raises
        ------
        BadInput
            If the file is damaged.
        """
        path = _path(out, study)
        if not path.exists():
            folds = tuple(plan.datasets[study.dataset].folds)
            return SearchHistory(folds, (), ended=False, chosen=None, limits=limits(study))
        adapter: TypeAdapter[SearchHistory] = TypeAdapter(SearchHistory)
        history: SearchHistory = read(path, lambda: adapter.validate_json(path.read_bytes()), _REMEDY)
        # What was chosen by other limits is not what this search chooses.
        return history if history.limits == limits(study) else replace(history, ended=False, chosen=None)

    def unproposed(self, study: Study) -> int:
        """How many configurations may still be proposed."""
        return 0 if self.ended else max(study.search.configurations - len(self.configurations), 0)

    def jobs(self, plan: Plan, study: Study, one: TriedConfiguration) -> list[Job]:
        """A configuration's job for each fold, in the order of the race."""
        recipe = replace(study.recipe, **one.params)
        return [plan.search_job(study, recipe, held_out) for held_out in self.folds]

    def finals(self, plan: Plan, study: Study) -> list[Job]:
        """The jobs that train what was chosen; none before everything is chosen."""
        return final_jobs(plan, study, self.chosen or {})


def limits(study: Study) -> Limits:
    """What may be raised without making it another search: the number of configurations and the budget."""
    return study.search.configurations, study.search.trainings, study.search.hours


def final_jobs(plan: Plan, study: Study, chosen: Mapping[str, Choice]) -> list[Job]:
    """The jobs that train, on all training subjects of each fold, what was chosen there."""
    jobs = []
    for held_out, choice in chosen.items():
        recipe = replace(study.recipe, **choice.params)
        jobs.append(plan.final_job(study, replace(recipe, epochs=choice.epoch, keep_every=choice.epoch), held_out))
    return jobs


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
