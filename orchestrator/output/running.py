"""What runs now: a small file per job beside the ledger, for those who look at an output folder from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Running:
    """A job that runs.

    Attributes
    ----------
    since
        When it was begun, in seconds since 1970.
    done, of
        Epochs that are done, and all of them; 0 and 0 while nothing is known.
    """

    since: float
    done: int = 0
    of: int = 0

    @property
    def share(self) -> float:
        """The part that is done, from 0 to 1."""
        return self.done / self.of if self.of else 0.0

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return max(time.time() - self.since, 0.0)

    def save(self, ledger: Path, job_id: str) -> None:
        """Write it over what was there; it is no result, so a reader may find half of it."""
        (ledger / "running" / job_id).write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_running(ledger: Path, job_ids: set[str]) -> Mapping[str, Running]:
    """How far jobs are; those of which nothing is known are left out.

    Parameters
    ----------
    ledger
        The ledger's folder.
    job_ids
        The jobs that run, see :meth:`orchestrator.output.ledger.Ledger.running`.
    """
    found = {}
    for job_id in sorted(job_ids):
        try:
            found[job_id] = Running(**json.loads((ledger / "running" / job_id).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # half written, or ended meanwhile
            continue
    return found
