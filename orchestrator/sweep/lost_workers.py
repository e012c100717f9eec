"""Folds whose worker was lost: which of them are given out again, when, and which are not.

A worker that is lost with its machine says nothing about its fold. One that is lost on a machine that lives does: the
fold may have taken all memory, or may have ended its process.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from orchestrator.machines.answers import Machines
from orchestrator.sweep.dispatcher import TRIES

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0  # seconds
Held = TypeVar("Held")


@dataclass
class _Lost(Generic[Held]):
    job_id: str
    held: Held
    when: float
    perhaps_on: frozenset[str]  # the machines that its worker can have been on


class LostWorkers(Generic[Held]):
    """Takes folds whose workers were lost, and gives them back when they may be tried again.

    Parameters
    ----------
    machines
        The cluster's; None where there is only this one, which lives.
    clock
        Seconds that only grow.

    Attributes
    ----------
    spent
        Folds that were lost so often that they are not tried again; whoever takes note of them removes them.
    """

    def __init__(self, machines: Machines | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._machines, self._clock = machines, clock
        self._given: dict[str, frozenset[str]] = {}
        self._open: list[_Lost[Held]] = []  # nobody knows yet whether the machine was lost too
        self._waiting: list[tuple[float, Held]] = []
        self._tries: Counter[str] = Counter()
        self._times: Counter[str] = Counter()
        self.spent: list[Held] = []

    def __len__(self) -> int:
        """How many may still be given back, or are spent."""
        return len(self._open) + len(self._waiting) + len(self.spent)

    def gave(self, job_id: str) -> int:
        """Note where a fold can be that is given out now; how often it was lost before."""
        if self._machines is not None:
            self._given[job_id] = self._machines.alive()
        return self._times[job_id]

    def add(self, job_id: str, held: Held) -> None:
        """The worker of a fold was lost."""
        self._times[job_id] += 1
        perhaps_on = self._given.get(job_id, frozenset())
        if self._machines is not None:
            perhaps_on |= self._machines.alive()  # it may have waited until another one joined
        self._open.append(_Lost(job_id, held, self._clock(), perhaps_on))

    def wait(self) -> bool:
        """Whether nothing is to be given out now: a machine does not answer, and its folds would be lost too."""
        return self._machines is not None and self._machines.unclear()

    def take(self) -> Held | None:
        """A fold that is to be tried again now."""
        for number, (when, held) in enumerate(self._waiting):
            if when <= self._clock():
                del self._waiting[number]
                return held
        return None

    def settle(self) -> None:
        """Find out which losses count."""
        still_open = []
        for lost in self._open:
            counts = self._counts(lost)
            if counts is None:
                still_open.append(lost)
            elif counts:
                self._tries[lost.job_id] += 1
                if self._tries[lost.job_id] % TRIES:
                    self._waiting.append((self._clock(), lost.held))
                else:
                    self.spent.append(lost.held)
            else:
                times = self._times[lost.job_id] - self._tries[lost.job_id]
                pause = min(_FIRST_PAUSE * 2.0 ** min(times - 1, 10), _LONGEST_PAUSE)
                self._waiting.append((lost.when + pause, lost.held))
        self._open = still_open

    def _counts(self, lost: _Lost[Held]) -> bool | None:
        """Whether all machines live that the worker can have been on; None if that is not known yet."""
        if self._machines is None:
            return True
        if not lost.perhaps_on <= self._machines.alive():
            return False
        answers = {self._machines.answered(machine, lost.when) for machine in lost.perhaps_on}
        if False in answers:
            return False
        return None if None in answers else True
