"""Which machines of a cluster answer: Ray calls one that was cut off dead only after half a minute or more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

PATIENCE = 10.0  # seconds; a machine that has something else to do needs some for its answer
_AGAIN = 5.0  # seconds after which Ray, which could not put a question, is asked to put it again
_LONGEST = 90.0  # seconds after which nobody waits for a machine that neither answers nor is called dead


class Machines(Protocol):
    """What is known of a cluster's machines, each by Ray's id of it."""

    def alive(self) -> frozenset[str]:
        """Those that Ray does not call dead."""

    def answered(self, machine: str, since: float) -> bool | None:
        """Whether a machine has answered since a moment of the clock; None as long as it may still."""

    def unclear(self) -> bool:
        """Whether a machine does not answer, and may soon be called dead or answer."""


@dataclass
class _Asked:
    put: float  # when the last question was put
    promise: Any  # Ray's promise of an answer; None if there is none to wait for
    answer: float = -1.0  # when the last answer came
    quiet_since: float | None = None  # when the first question was put that has no answer


class AskedMachines:
    """Asks the machines of the running cluster, and never waits for an answer.

    Parameters
    ----------
    ask
        Puts a question to a machine and gives Ray's promise of an answer.
    clock
        Seconds that only grow.
    """

    def __init__(self, ask: Callable[[str], Any] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask or _ask, clock
        self._asked: dict[str, _Asked] = {}

    def alive(self) -> frozenset[str]:
        """Those that Ray does not call dead."""
        import ray

        return frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])

    def answered(self, machine: str, since: float) -> bool | None:
        """Whether a machine has answered since a moment of the clock; None as long as it may still. It is asked."""
        asked = self._asked.get(machine)
        if asked is None:
            asked = self._asked[machine] = _Asked(self._clock(), self._ask(machine), quiet_since=self._clock())
        self._collect(machine, asked)
        if asked.answer >= since:
            return True
        if asked.promise is None and (asked.quiet_since is None or self._clock() - asked.put >= _AGAIN):
            asked.put, asked.promise = self._clock(), self._ask(machine)
            asked.quiet_since = asked.put if asked.quiet_since is None else asked.quiet_since
        return False if self._is_quiet(asked) else None

    def unclear(self) -> bool:
        """Whether a machine does not answer, and may soon be called dead or answer."""
        quiet = {machine: asked for machine, asked in self._asked.items() if self._is_quiet(asked)}
        if not quiet:
            return False
        alive, unclear = self.alive(), False
        for machine, asked in quiet.items():
            if machine not in alive:
                del self._asked[machine]
            elif not self.answered(machine, asked.put) and asked.quiet_since is not None:
                unclear |= self._clock() - asked.quiet_since < _LONGEST
        return unclear

    def _is_quiet(self, asked: _Asked) -> bool:
        return asked.quiet_since is not None and self._clock() - asked.quiet_since > PATIENCE

    def _collect(self, machine: str, asked: _Asked) -> None:
        import ray

        if asked.promise is None or not ray.wait([asked.promise], timeout=0)[0]:
            return
        try:
            ray.get(asked.promise)
        except ray.exceptions.RayError:  # it could not be put, or its process died
            pass
        else:
            asked.answer, asked.quiet_since = self._clock(), None
        asked.promise = None


def _ask(machine: str) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(machine, soft=False)
    return ray.remote(num_cpus=0, max_retries=0)(_answer).options(scheduling_strategy=there).remote()


def _answer() -> None:
    """That a worker runs is the answer."""
