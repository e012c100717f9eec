"""A job run as a worker runs it, without Ray and in this process."""

from contextlib import suppress
from types import SimpleNamespace

import pytest

from orchestrator.experiment.plan import Job
from orchestrator.sweep.dispatcher import Dispatcher
from orchestrator.sweep.trial import FoldTrainable, Spoilt


def run_here(dispatcher: Dispatcher, job: Job) -> None:
    """Train a job and hand its outcome, or the reason of its failure, to the dispatcher."""
    worker = object.__new__(FoldTrainable)
    calls = {
        name: SimpleNamespace(remote=getattr(dispatcher, name)) for name in ("take", "note_epoch", "commit", "fail")
    }
    worker._dispatcher, worker._device, worker._fold_minutes = SimpleNamespace(**calls), "cpu", None
    worker.reset_config({"jobs": [job.id], "way": "plain"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray.get", lambda result: result)
        with suppress(Spoilt):
            worker.step()
