"""Where a job is trained: on a core, on a share of a GPU, or on a whole one beside others of its kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.experiment.declarations import declaration
from orchestrator.experiment.plan import Job

Way = Literal["plain", "graph"]


@dataclass(frozen=True)
class Place:
    """Where a job is trained, and how.

    Attributes
    ----------
    share
        Of a GPU; 0 for a core alone.
    way
        ``plain``, operator by operator, or ``graph``: recorded once and repeated (:mod:`mer_models.recorded`).
    pack
        How many of its kind one process may train side by side; those take a GPU whole.
    """

    share: float = 0.0
    way: Way = "plain"
    pack: int = 1

    @property
    def taken(self) -> float:
        """The share of a GPU that its process takes."""
        return 1.0 if self.pack > 1 else self.share

    def alone(self) -> Place:
        """The surest way: in a process of its own, operator by operator."""
        return replace(self, way="plain", pack=1)

    def roomier(self) -> Place:
        """With twice the share, for one whose GPU's memory was too small; at most a whole GPU."""
        return replace(self.alone(), share=min(2 * self.share, 1.0))

    def with_fewer(self, together: int) -> Place:
        """With half as many beside it as there were together."""
        return replace(self, pack=max(min(self.pack, together) // 2, 1))


def declared(job: Job) -> Place:
    """The place that a job's model declares."""
    return Place(declaration(job.model).gpu_share)
