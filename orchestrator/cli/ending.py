"""The end of the program."""

from __future__ import annotations

import atexit
import os
import sys
import threading


def leave(status: str | int | None) -> None:
    """End this process now, without taking down what it has imported: that of Ray and MLflow takes a second or two.

    What others want done at the end is done, and what was said is written. Returns where Python itself has to end the
    process: while other threads are at work, if the status is a text, or if the output cannot be written.

    Parameters
    ----------
    status
        As that of :class:`SystemExit`.
    """
    at_work = [thread for thread in threading.enumerate() if not thread.daemon]
    if at_work != [threading.main_thread()] or isinstance(status, str):
        return
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):
        return
    os._exit((status or 0) & 0xFF)
