"""What Ray Tune tells of workers that ended: a line for each instead of a traceback, unless it is a bug of ours."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import ActorDiedError, ActorUnavailableError

from orchestrator.console import Console
from orchestrator.sweep.trial import Unfit

_LOGGERS = ("ray.tune.execution.tune_controller", "ray.tune.tune")


@contextmanager
def told_in_words(console: Console) -> Iterator[None]:
    """While this lasts, a lost worker is one line, and what the clerk was told already is none."""
    words = _Words(console)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(words)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(words)


class _Words(logging.Filter):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether Tune's own record is shown."""
        error = record.exc_info[1] if record.exc_info else None
        # Which folds failed, and why, is told when the sweep is over.
        if isinstance(error, Unfit) or record.getMessage().startswith("Trials did not complete"):
            return False
        if not isinstance(error, ActorDiedError | ActorUnavailableError) or "creation task" in str(error):
            return True
        where = re.search(r"^\s*ip: (\S+)", str(error), re.MULTILINE)
        self._console.warn(f"a worker was lost{' on ' + where[1] if where else ''}")
        return False
