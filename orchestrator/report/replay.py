"""Searches gone through again, with the ledger instead of training: whether they chose what they say they chose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.experiment.plan import Plan, Study
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory, histories
from orchestrator.output.trained import TrainedJobs

_DECIDES = "optuna"  # the library whose version decides what is proposed


@dataclass
class Replayed:
    """What going through searches again has shown.

    Attributes
    ----------
    choices
        How many searches chose the same again.
    problems
        By the search's name, what does not agree.
    remarks
        What could not be compared.
    """

    choices: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def replayed(plan: Plan, ledger: Ledger, made_with: Mapping[str, str], private: Path) -> Replayed:
    """Go through all finished searches again.

    Parameters
    ----------
    plan, ledger
        What is verified.
    made_with
        Versions of libraries, by name, that the results were made with.
    private
        An empty folder to work in.
    """
    found = Replayed()
    open_searches, other = 0, 0
    trained = TrainedJobs(plan, ledger)
    for number, (study, told) in enumerate(histories(plan, ledger.root.parent)):
        if not told.closed:
            open_searches += 1
            continue
        # First as if nothing had been proposed, which the sampler must do again; else with what was proposed.
        anew = _gone_through(plan, study, told, trained, private / f"{number}", with_proposals=False)
        if _unlike(told, anew):
            given = _gone_through(plan, study, told, trained, private / f"{number}-given", with_proposals=True)
            unlike = _unlike(told, given)
            if unlike:
                found.problems.append((study.name, unlike))
                continue
            if _excused(told, anew, made_with):
                other += 1
            else:
                found.problems.append((study.name, "tried configurations that its sampler does not propose"))
                continue
        found.choices += 1
    if open_searches:
        found.remarks.append(f"{open_searches} searches are not finished, so they were not gone through")
    if other:
        here = "another version of Optuna, or another processor"
        found.remarks.append(
            f"what {other} searches tried is not proposed again here, with {here}; races and choices agree"
        )
    return found


def _gone_through(
    plan: Plan, study: Study, told: SearchHistory, trained: TrainedJobs, folder: Path, *, with_proposals: bool
) -> SearchHistory:
    from orchestrator.search.study import StudyDriver, optuna_storage  # Optuna takes a second to import

    if with_proposals:
        told.save(folder, study)
    storage = optuna_storage(folder)
    driver = StudyDriver(plan, study, trained, folder, storage)
    for tried in told.configurations:
        if tried.state == "failed":
            driver.finish(told.jobs(plan, study, tried)[tried.divisions], "failed")
    driver.advance()
    return SearchHistory.load(folder, plan, study)


def _unlike(told: SearchHistory, found: SearchHistory) -> str:
    """The first thing in which two histories differ, in words; empty if nothing differs."""
    for one, other in zip(told.configurations, found.configurations, strict=False):
        if replace(one, reason="") != replace(other, reason=""):
            if one.params != other.params:
                return f"configuration {one.number} is {one.params}, gone through again {other.params}"
            ends = [
                f"{t.state} after {t.divisions} divisions, UF1 {t.inner_uf1} at epoch {t.epoch}" for t in (one, other)
            ]
            return f"configuration {one.number} is {ends[0]}; gone through again {ends[1]}"
    if len(told.configurations) != len(found.configurations) or (told.ended, told.closed) != (
        found.ended,
        found.closed,
    ):
        return "it tried more or fewer configurations than when it is gone through again"
    return "" if told.chosen == found.chosen else f"it chose {told.chosen}, gone through again {found.chosen}"


def _excused(told: SearchHistory, anew: SearchHistory, made_with: Mapping[str, str]) -> bool:
    """Whether other proposals may come of another version of Optuna, or of another processor's last digits."""
    from importlib.metadata import version

    if made_with.get(_DECIDES) != version(_DECIDES):
        return True
    pairs = zip(told.configurations, anew.configurations, strict=False)
    one, other = next(((a.params, b.params) for a, b in pairs if a.params != b.params), ({}, {}))
    return one.keys() == other.keys() and all(
        isinstance(value, float) and math.isclose(value, other[name], rel_tol=1e-9)
        for name, value in one.items()
        if value != other[name]
    )
