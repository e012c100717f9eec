"""Says that no worker comes: Ray itself waits for ever, and tells only its log why."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from mer_data.problems import BadInput, Problem
from orchestrator.console import Console
from orchestrator.machines.local_ray import keep_log
from orchestrator.machines.ray_cluster import on_standing_cluster

_MINUTES = 5.0
_GIVE_UP = signal.SIGUSR2  # not SIGINT, which a program that a script has put into the background ignores
_WARNINGS = 3  # after so many, a run on this machine alone is given up; a cluster may still grow


class _NoHope(BaseException):
    """Raised in the main thread, wherever it waits."""


def _no_hope(*_: object) -> NoReturn:
    raise _NoHope


@contextmanager
def waited_for(came: threading.Event, console: Console) -> Iterator[None]:
    """While this lasts, say every few minutes that no worker has come, until one has.

    Raises
    ------
    BadInput
        On this machine alone, when there is no hope left that one will.
    """
    in_main = threading.current_thread() is threading.main_thread()  # a signal reaches no other
    watch = _Watch(came, console, may_end=in_main and not on_standing_cluster())
    before = signal.signal(_GIVE_UP, _no_hope) if in_main else None
    watch.start()
    try:
        yield
    except _NoHope:
        raise BadInput(watch.verdict or Problem("Ray", "no worker has come")) from None
    finally:
        came.set()
        if in_main:
            signal.signal(_GIVE_UP, before)


class _Watch(threading.Thread):
    def __init__(self, came: threading.Event, console: Console, *, may_end: bool) -> None:
        super().__init__(name="watch-for-workers", daemon=True)
        self._came, self._console, self._may_end = came, console, may_end
        self.verdict: Problem | None = None

    def run(self) -> None:
        began, told = time.monotonic(), 0
        while not self._came.wait(60 * _MINUTES):
            told += 1
            minutes = (time.monotonic() - began) / 60
            what = f"no worker has come within {minutes:.0f} minutes"
            if told < _WARNINGS or not self._may_end:
                self._console.warn(f"{what}; Ray's log: {keep_log()}")
            else:
                self.verdict = Problem("Ray", what, f"its log says why: {keep_log()}")
                # The main thread may wait in Ray's own code, which only a signal ends.
                signal.pthread_kill(threading.main_thread().ident or 0, _GIVE_UP)
                return
