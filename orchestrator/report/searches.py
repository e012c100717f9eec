"""What the searches of a model tried, and what its best configuration would have seemed to be worth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from orchestrator.experiment.plan import Plan, Study
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory, divisions_of
from orchestrator.output.trained import TrainedJobs
from orchestrator.score.metrics import Counts

_FIXED = "they need configurations that were fixed beforehand and all trained on everybody"


@dataclass(frozen=True)
class Searched:
    """What searches tried and what that would have scored.

    Attributes
    ----------
    groups
        How many searches there were with each seed.
    proposed, complete, pruned, failed
        Configurations, over all searches.
    trainings, avoided
        Trainings of the searches, and trainings of the full grid that were not needed.
    seconds
        Of these trainings.
    counts
        Per seed, confusion matrices ``[configurations and epochs, subjects, true, predicted]`` of validation answers:
        each subject's are those of all searches that saw it; subjects sorted. For estimates of optimism only.
    why_not
        Why there are no `counts`; empty if there are.
    """

    groups: int
    proposed: int
    complete: int
    pruned: int
    failed: int
    trainings: int
    avoided: int
    seconds: float
    counts: tuple[Counts, ...]
    why_not: str


@dataclass
class SearchedCell:
    """The studies of a model on a dataset, over all seeds and groups, with their histories."""

    studies: list[tuple[Study, SearchHistory]] = field(default_factory=list)

    def add(self, study: Study, history: SearchHistory) -> None:
        """Add a study."""
        self.studies.append((study, history))

    def read(self, plan: Plan, ledger: Ledger) -> Searched:
        """Sum up what was tried."""
        tried = [known for _, history in self.studies for known in history.configurations]
        grid = sum(study.search.configurations * divisions_of(plan, study) for study, _ in self.studies)
        trainings = sum(known.divisions for known in tried)
        states = [known.state for known in tried]
        trained = TrainedJobs(plan, ledger)
        why_not = self._why_not(plan) or self._thinned(plan, trained)
        seeds = sorted({study.seed for study, _ in self.studies})
        return Searched(
            groups=len(self.studies) // len(seeds),
            proposed=len(tried),
            complete=states.count("complete"),
            pruned=states.count("pruned"),
            failed=states.count("failed"),
            trainings=trainings,
            avoided=grid - trainings,
            seconds=self._seconds(plan, trained),
            counts=() if why_not else tuple(self._counts(plan, trained, seed) for seed in seeds),
            why_not=why_not,
        )

    def _seconds(self, plan: Plan, trained: TrainedJobs) -> float:
        jobs = (
            (study, job)
            for study, history in self.studies
            for known in history.configurations
            for job in history.jobs(plan, study, known)[: known.divisions]
        )
        return sum(trained.division_score(study, job).seconds for study, job in jobs)

    def _why_not(self, plan: Plan) -> str:
        """Why the configurations cannot be scored on all subjects; empty if they can.

        What survived a race, or was proposed because of what others had scored, was chosen by the very subjects.
        """
        search = self.studies[0][0].search
        if plan.protocol != "loso":
            return "they are of subjects held out in turn"
        if not all(history.closed for _, history in self.studies):
            return "the search is not finished"
        if any(known.state != "complete" for _, history in self.studies for known in history.configurations):
            return f"{_FIXED}: `race: false`" + ("" if search.fixed else " and `sampler: random`")
        if not search.fixed:
            return f"{_FIXED}: `sampler: random`"
        return "" if self._equal() else f"{_FIXED}, and a budget ended some searches early"

    def _thinned(self, plan: Plan, trained: TrainedJobs) -> str:
        """The same, where epochs of the searches were left out of a capsule."""
        for study, history in self.studies:
            for known in history.configurations:
                for job in history.jobs(plan, study, known):
                    if trained.division_score(study, job).epochs != tuple(plan.recipe(job).kept_epochs()):
                        return "the capsule has not all epochs of the searches"
        return ""

    def _equal(self) -> bool:
        """Whether all groups tried the same."""
        return len({str([known.params for known in history.configurations]) for _, history in self.studies}) == 1

    def _counts(self, plan: Plan, trained: TrainedJobs, seed: int) -> Counts:
        """The confusion matrices of a seed; see :class:`Searched`."""
        of_seed = [(study, history) for study, history in self.studies if study.seed == seed]
        cohort = plan.datasets[of_seed[0][0].dataset].cohort
        subjects = sorted(set(cohort.subjects))
        totals: list[Counts] = []
        for number in range(len(of_seed[0][1].configurations)):
            total: Counts = np.zeros((), np.int64)
            for study, history in of_seed:
                for job in history.jobs(plan, study, history.configurations[number]):
                    counts = trained.division_score(study, job).counts  # [epochs, validation subjects, ., .]
                    validating = sorted({cohort.subject_of[clip_id] for clip_id in plan.fold(job).test_ids})
                    wide = np.zeros((len(counts), len(subjects), *counts.shape[2:]), np.int64)
                    wide[:, np.searchsorted(subjects, validating)] = counts
                    total = total + wide
            totals.append(total)
        return np.concatenate(totals)
