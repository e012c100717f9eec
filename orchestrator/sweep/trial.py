"""One job, or a pack of them, as a Ray Tune trial: take the work, train, give the logits to the dispatcher."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray import tune

from mer_data.problems import BadInput, Problem
from mer_data.storage.shards import Feature, LazyRows
from mer_data.storage.store import Store
from mer_models.pack import Ended, PackedFold, train_pack, why_not
from mer_models.progress import heard_by
from mer_models.spec import (
    RESIDENT_BYTES,
    Arrays,
    FoldArrays,
    InputSpec,
    ModelSpec,
    Outcome,
    Rows,
    TrainingFailed,
    models,
)
from orchestrator.experiment import user_models
from orchestrator.machines.code_version import torch_version, unlike, what_runs
from orchestrator.sweep.dispatcher import Work
from orchestrator.sweep.rehearsal import rehearse

if TYPE_CHECKING:
    from mer_models.recorded import Lane

_SECONDS_BETWEEN_EPOCHS = 1.0
_REHEARSED: set[tuple[str, tuple[InputSpec, ...]]] = set()  # what this process has imported all for
_PAUSE = 10.0  # seconds; a machine that trains nothing must not take one fold after the other


class Spoilt(RuntimeError):  # noqa: N818 - the process is spoilt, not the fold
    """Raised by a worker that has told the dispatcher what happened, and whose process is not to be used again."""


class Unfit(Spoilt):
    """Raised by a worker that cannot train as the driver wants: its fold goes to another one."""


class FoldTrainable(tune.Trainable):
    """Trains one fold, or on a GPU a pack of them. Ray Tune reuses the process for the next trial.

    The trial's configuration holds the ids of its jobs and how they are trained. :meth:`step` returns when one of them
    has ended; Tune carries back which, and its seconds.
    """

    make_lane: Callable[[], Lane] | None = None  # of the GPU
    _unfit: Problem | None = None

    def setup(
        self,
        config: dict[str, Any],
        dispatcher: Any = None,
        fold_minutes: float | None = None,
        driver_runs: dict[str, str] | None = None,
    ) -> None:
        """Prepare a worker process; called once per process."""
        keep_freed_memory()
        self._dispatcher, self._fold_minutes = dispatcher, fold_minutes
        if driver_runs is not None:  # the machine may have joined after the driver had looked
            self._unfit = unlike(platform.node(), what_runs(), driver_runs)
        self._device = "cuda" if ray.get_gpu_ids() else "cpu"
        if self._device == "cuda":
            self._take_gpu()
        self.reset_config(config)

    def _take_gpu(self) -> None:
        import torch

        if not torch.cuda.is_available():
            what = f"has a GPU that PyTorch {torch.__version__} cannot use"
            remedy = "install a PyTorch for its driver (`nvidia-smi` names it), or set device: cpu"
            self._unfit = Problem(f"machine {platform.node()}", what, remedy)
        else:
            # A fold that needs more than its share of the GPU fails, not those beside it; it gets a larger share then.
            share = float(ray.get_runtime_context().get_assigned_resources().get("GPU", 1.0))
            torch.cuda.set_per_process_memory_fraction(min(share, 1.0))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next jobs. Nothing of the last ones is kept: their tensors were local to :meth:`step`."""
        self._start = time.perf_counter()
        self._jobs: list[str] = list(new_config["jobs"])
        self._left = len(self._jobs)
        recorded = new_config["way"] == "graph"
        self._ends = self._side_by_side() if recorded else (self._alone(job_id) for job_id in self._jobs)
        self._told = dict.fromkeys(self._jobs, time.monotonic())  # when it was told last how far a fold is
        if self._device == "cuda":
            import torch

            torch.cuda.empty_cache()
        return True

    def step(self) -> dict[str, Any]:
        """Train until a fold has ended. That training gave nothing is a result; after a bug the process has ended."""
        if self._unfit is not None:
            for job_id in self._jobs:
                ray.get(self._dispatcher.refuse.remote(job_id, str(self._unfit)))
            time.sleep(_PAUSE)
            raise Unfit(str(self._unfit))
        ended = next(self._ends)
        self._left -= 1
        if not self._left:
            self._ends.close()  # nothing of it is to go on, as the watch over its time
        return {**ended, "done": self._left == 0}

    def _alone(self, job_id: str) -> dict[str, Any]:
        """Train a fold operator by operator."""
        result: Outcome | BaseException
        with self._watched([job_id]):
            try:
                if (fold := self._take(job_id)) is None:
                    return _ended(job_id)
                with heard_by(partial(self._tell_epoch, job_id)):
                    result = fold.spec.fit(fold.spec, fold.arrays, fold.recipe, fold.seed, self._device)
                if fold.arrays.keep_state and result.state is None:
                    what = "its training function gives no weights (Outcome.state), so none can be kept"
                    raise TrainingFailed(what)
            except (Exception, SystemExit) as error:
                result = error
            return self._note(job_id, result, time.perf_counter() - self._start)

    def _side_by_side(self) -> Generator[dict[str, Any]]:
        """Train folds that are recorded, beside each other; those that cannot be, one after the other."""
        recorded: dict[str, PackedFold] = {}
        for job_id in self._jobs:
            try:
                fold = self._take(job_id)
            except (TrainingFailed, BadInput) as error:
                yield self._note(job_id, error, 0.0)
                continue
            if fold is None:
                yield _ended(job_id)
            elif why_not(fold.spec, fold.arrays, fold.recipe):
                yield self._alone(job_id)
            else:
                recorded[job_id] = fold
        jobs, spoilt = list(recorded), None
        with self._watched(jobs):
            for end in self._pack(jobs, list(recorded.values())):
                try:
                    if end.result is None:
                        yield {**_ended(jobs[end.place]), "unbegun": True}
                    else:
                        yield self._note(jobs[end.place], end.result, end.seconds, way="graph")
                except Spoilt as error:  # told already; the others go on
                    spoilt = error
        if spoilt is not None:
            raise spoilt

    def _pack(self, jobs: Sequence[str], folds: Sequence[PackedFold]) -> Iterator[Ended]:
        try:
            yield from train_pack(folds, lambda at, *far: self._tell_epoch(jobs[at], *far), type(self).make_lane)
        except Exception as error:  # nothing was told, so all that has not ended is trained again, operator by operator
            raise Spoilt(f"recording failed: {error}") from error

    def _note(self, job_id: str, result: Outcome | BaseException, seconds: float, **more: str) -> dict[str, Any]:
        """Hand the end of a fold to the dispatcher.

        Raises
        ------
        Spoilt
            If it ended by a bug: nobody knows what is left of it, as threads or a broken CUDA context.
        """
        try:
            if isinstance(result, BaseException):
                raise result
            device, environment = _environment(self._device)
            ray.get(self._dispatcher.commit.remote(job_id, result, seconds, device, {**environment, **more}))
        except _out_of_memory() as error:
            ray.get(self._dispatcher.fail.remote(job_id, f"the GPU's memory was too small: {error}"))
            return {**_ended(job_id, seconds), "memory": True}
        except (TrainingFailed, BadInput) as error:
            ray.get(self._dispatcher.fail.remote(job_id, str(error)))
        except (Exception, SystemExit) as error:
            ended = isinstance(error, SystemExit)
            reason = f"its code called sys.exit({error.args[0] if error.args else ''!r})" if ended else ""
            reason = reason or traceback.format_exc(limit=8)
            ray.get(self._dispatcher.fail.remote(job_id, reason))
            raise Spoilt(reason) from None
        return _ended(job_id, seconds)

    @contextmanager
    def _watched(self, jobs: Sequence[str]) -> Iterator[None]:
        """End this process if folds take too long, each as long as it may: what hangs cannot be asked to stop."""
        if self._fold_minutes is None or not jobs:
            yield
            return

        def end() -> None:
            if len(jobs) == 1:  # of several nobody knows which it was; they are tried alone
                reason = f"took longer than {self._fold_minutes:g} minutes (fold_minutes)"
                ray.get(self._dispatcher.give_up.remote(jobs[0], reason))
            os._exit(1)

        timer = threading.Timer(60 * self._fold_minutes * len(jobs), end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _take(self, job_id: str) -> PackedFold | None:
        """What to train; None if it is done, or its time was up, in another process, which has told so."""
        work: Work | None = ray.get(self._dispatcher.take.remote(job_id))
        if work is None:
            return None
        spec = replace(find_model(work), inputs=work.inputs)
        _take_one_core()
        if (work.model, work.inputs) not in _REHEARSED:
            _REHEARSED.add((work.model, work.inputs))
            rehearse(spec, work.recipe, work.classes, self._device)
        self._start = time.perf_counter()
        arrays = FoldArrays(
            train=gather(work, spec.inputs, work.train_ids),
            labels=work.labels,
            test=gather(work, spec.inputs, work.test_ids),
            test_clips=len(work.test_ids),
            classes=work.classes,
            keep_state=work.keep_weights and spec.build is not None,
        )
        return PackedFold(spec, arrays, work.recipe, work.random_state)

    def _tell_epoch(self, job_id: str, done: int, of: int) -> None:
        """Tell the dispatcher how far a fold is, and do not wait for an answer."""
        now = time.monotonic()
        if now - self._told[job_id] >= _SECONDS_BETWEEN_EPOCHS:
            self._told[job_id] = now
            self._dispatcher.note_epoch.remote(job_id, done, of)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to save: a fold that is lost is run again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""


def _ended(job_id: str, seconds: float = 0.0) -> dict[str, Any]:
    return {"job": job_id, "seconds": seconds, "memory": False, "unbegun": False}


def find_model(work: Work) -> ModelSpec:
    """The model of a job, also when it comes from a file of the user's that this machine does not have."""
    user_models.use(work.model_files)
    if work.model not in models():
        remedy = "install the package that brings it on every machine"
        raise BadInput(Problem(f"model {work.model}", f"is not known on {platform.node()}", remedy))
    return models()[work.model]


def gather(work: Work, inputs: tuple[InputSpec, ...], clip_ids: tuple[str, ...]) -> Arrays:
    """The model's inputs for some clips: its channels of its features, in its order.

    What fits well into memory is copied into one array now; the rest stays in the mapped files.
    """
    arrays: list[Rows] = []
    for taken in inputs:
        keys = work.feature_keys[taken.feature]
        members = [_open(work.store, name, taken.feature, key) for name, key in keys.items()]
        lazy = LazyRows(members, clip_ids, [members[0].channels.index(channel) for channel in taken.channels])
        arrays.append(lazy if lazy.nbytes > RESIDENT_BYTES else np.asarray(lazy))
    return tuple(arrays)


@lru_cache(maxsize=32)
def _open(store: str, dataset: str, name: str, key: str) -> Feature:
    """A feature stays mapped in a worker from job to job."""
    feature = Store(store).feature(dataset, name)
    if feature.key != key:
        what = f"{name} has changed in the store since this run was planned"
        raise BadInput(Problem(f"dataset {dataset}", what, "run the same command again"))
    return feature


@lru_cache(maxsize=2)
def _environment(device: str) -> tuple[str, dict[str, str]]:
    name = f"cpu {platform.machine()}"
    if device == "cuda":
        import torch

        name = torch.cuda.get_device_name()
    return name, {"python": platform.python_version(), "torch": torch_version(), "numpy": np.__version__}


def _take_one_core() -> None:
    """A fold has one core, and sums in the same order however many folds run beside it.

    Nothing to do before a model has imported PyTorch, which takes a second: the baselines do without.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _out_of_memory() -> tuple[type[Exception], ...]:
    """What PyTorch raises if the memory of a GPU is too small; nothing where it is not even imported."""
    torch = sys.modules.get("torch")
    return () if torch is None else (torch.cuda.OutOfMemoryError,)


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory instead of returning it to the system after every operation.

    Training a small network allocates the same few tensors of some megabytes in every step; fetching them anew from
    the system costs a quarter of the time. Only glibc has these settings (3: M_MMAP_THRESHOLD, 1: M_TRIM_THRESHOLD,
    as negative numbers).
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for setting in (-3, -1):
        mallopt(setting, 1 << 30)
