"""One job as a Ray Tune trial: take the work, train, give the logits to the dispatcher."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import ray
from ray import tune

from mer_data.problems import BadInput, Problem
from mer_data.storage.shards import Feature, LazyRows
from mer_data.storage.store import Store
from mer_models.progress import heard_by
from mer_models.spec import RESIDENT_BYTES, Arrays, FoldArrays, InputSpec, ModelSpec, Rows, TrainingFailed, models
from orchestrator.experiment import user_models
from orchestrator.machines.code_version import torch_version, unlike, what_runs
from orchestrator.sweep.dispatcher import Work
from orchestrator.sweep.rehearsal import rehearse

_SECONDS_BETWEEN_EPOCHS = 1.0
_REHEARSED: set[tuple[str, tuple[InputSpec, ...]]] = set()  # what this process has imported all for
_PAUSE = 10.0  # seconds; a machine that trains nothing must not take one fold after the other


class Unfit(RuntimeError):  # noqa: N818 - the worker is unfit, not the fold
    """Raised by a worker that cannot train as the driver wants: its fold goes to another one."""


class FoldTrainable(tune.Trainable):
    """Trains one fold in one step. Ray Tune reuses the process for the next job through :meth:`reset_config`.

    The trial's configuration holds a job id and nothing else; Tune carries only the seconds back.
    """

    _unfit: Problem | None = None
    _told = 0.0  # when the dispatcher was last told how far the fold is

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
        """Take the next job. Nothing of the last one is kept: its tensors were local to :meth:`step`."""
        self._job_id: str = new_config["job"]
        self._told = time.monotonic()
        if self._device == "cuda":
            import torch

            torch.cuda.empty_cache()
        return True

    def step(self) -> dict[str, Any]:
        """Train the fold. A failure of training itself is a result; only a lost worker makes Tune try again."""
        if self._unfit is not None:
            ray.get(self._dispatcher.refuse.remote(self._job_id, str(self._unfit)))
            time.sleep(_PAUSE)
            raise Unfit(str(self._unfit))  # for Tune a lost worker: it starts the fold in another one
        seconds, memory = 0.0, False
        try:
            with self._watched():
                seconds = self._train()
        except _out_of_memory() as error:
            memory = True
            ray.get(self._dispatcher.fail.remote(self._job_id, f"the GPU's memory was too small: {error}"))
        except Exception as error:
            told = isinstance(error, TrainingFailed | BadInput)
            reason = str(error) if told else traceback.format_exc(limit=8)
            ray.get(self._dispatcher.fail.remote(self._job_id, reason))
            if "CUDA" in reason:
                raise  # a broken CUDA context needs a fresh process
        return {"seconds": seconds, "memory": memory, "done": True}

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """End this process if the fold takes too long: what hangs cannot be asked to stop."""
        if self._fold_minutes is None:
            yield
            return

        def end() -> None:
            reason = f"took longer than {self._fold_minutes:g} minutes (fold_minutes)"
            ray.get(self._dispatcher.give_up.remote(self._job_id, reason))
            os._exit(1)

        timer = threading.Timer(60 * self._fold_minutes, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _train(self) -> float:
        work: Work | None = ray.get(self._dispatcher.take.remote(self._job_id))
        if work is None:  # done, or its time was up, in another process, which has told so
            return 0.0
        spec = replace(find_model(work), inputs=work.inputs)
        _take_one_core()
        if (work.model, work.inputs) not in _REHEARSED:
            _REHEARSED.add((work.model, work.inputs))
            rehearse(spec, work.recipe, work.classes, self._device)
        start = time.perf_counter()
        arrays = FoldArrays(
            train=gather(work, spec.inputs, work.train_ids),
            labels=work.labels,
            test=gather(work, spec.inputs, work.test_ids),
            test_clips=len(work.test_ids),
            classes=work.classes,
            keep_state=work.keep_weights and spec.build is not None,
        )
        with heard_by(self._tell_epoch):
            outcome = spec.fit(spec, arrays, work.recipe, work.random_state, self._device)
        seconds = time.perf_counter() - start
        if arrays.keep_state and outcome.state is None:
            raise TrainingFailed("its training function gives no weights (Outcome.state), so none can be kept")
        device, environment = _environment(self._device)
        ray.get(self._dispatcher.commit.remote(work.job_id, outcome, seconds, device, environment))
        return seconds

    def _tell_epoch(self, done: int, of: int) -> None:
        """Tell the dispatcher how far the fold is, and do not wait for an answer."""
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN_EPOCHS:
            self._told = now
            self._dispatcher.note_epoch.remote(self._job_id, done, of)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to save: a fold that is lost is run again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""


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
