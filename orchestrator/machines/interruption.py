"""Being told to stop: by Ctrl-C, or by the SIGTERM of Slurm, Docker and clouds that take a machine back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_told: list[int] = []


def _stop(number: int, _: FrameType | None) -> None:
    _told.append(number)
    raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[None]:
    """While this lasts, SIGTERM raises KeyboardInterrupt as Ctrl-C does. Only the main thread can be told to stop."""
    _told.clear()
    with _handled(_stop):
        yield


def stopped_status() -> int:
    """128 and the number of the signal that told this process to stop, as shells have it."""
    return 128 + (_told[0] if _told else signal.SIGINT)


@contextmanager
def put_off() -> Iterator[None]:
    """While this lasts, being told to stop waits until its end; the second time it does not.

    Ray loses what reaches it while it starts. Without :func:`stoppable` around it nothing changes.
    """
    waiting: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        waiting.append(number)
        if len(waiting) > 1:
            _stop(number, frame)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not _stop:
        yield
        return
    try:
        with _handled(note):
            yield
    finally:
        if waiting:
            _stop(waiting[0], None)


@contextmanager
def _handled(handler: signal.Handlers | object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            signal.signal(number, handler)  # type: ignore[arg-type]
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
