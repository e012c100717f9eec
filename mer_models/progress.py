"""How far a training is: told by the training loop, heard by whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """While this lasts, `listener` is called with the number of epochs that are done, and with that of all."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell_epoch(done: int, of: int) -> None:
    """Tell that an epoch has ended; nothing happens where nobody listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(done, of)
