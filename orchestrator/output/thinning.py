"""Fewer epochs in a ledger that is handed on: those that its numbers need, and of the others every so many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.output.search_history import histories
from orchestrator.output.trained import TrainedJobs
from orchestrator.score.validation import pooled_score


def every_nth(epochs: Sequence[int], every: int) -> tuple[int, ...]:
    """Of a fold's kept epochs every so many, counted from the first, and always the last."""
    return tuple(sorted({*epochs[every - 1 :: every], epochs[-1]}))


def deciding_epochs(plan: Plan, ledger: Ledger) -> dict[str, tuple[int, ...]]:
    """By job of a search, the epochs by which its configuration was judged; the last one if it never was.

    A race compares configurations after each division, each at the epoch that is best for all divisions until then.
    With these epochs alone, going through the search again gives the same races and the same choice.
    """
    trained, found = TrainedJobs(plan, ledger), dict[str, tuple[int, ...]]()
    for study, history in histories(plan, ledger.root.parent):
        for tried in history.configurations:
            jobs = history.jobs(plan, study, tried)
            scores = [trained.division_score(study, job) for job in jobs[: tried.divisions]]
            judged = {pooled_score(scores[:count]).epoch for count in range(1, len(scores) + 1)}
            of_all = tuple(sorted(judged)) or (plan.recipe(jobs[0]).epochs,)
            found |= {job.id: of_all for job in jobs}
    return found


def thinned(result: FoldResult, job: Job, every: int, deciding: Mapping[str, tuple[int, ...]]) -> FoldResult:
    """A result with fewer epochs; `deciding` is what :func:`deciding_epochs` gives."""
    epochs = deciding[job.id] if job.division is not None else every_nth(result.epochs, every)
    return replace(result, epochs=epochs, logits=result.logits[np.searchsorted(result.epochs, epochs)])
