"""What is measured on a GPU before a sweep, in a process that is thrown away: one epoch of a fold of random clips.

One epoch, and not one step or two: the clips lie on the device too, and are there twice while they are brought to it;
and an epoch is a small part of one fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any, TypeVar

from mer_data.hashing import digest
from mer_models.plugins import ModelFile
from mer_models.spec import InputSpec, Recipe, TrainingFailed, models
from orchestrator.experiment import user_models
from orchestrator.sweep.rehearsal import random_fold

# Few, so that worker processes are reused: only trials that take equal shares follow each other in one process.
_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
HEADROOM = 1.2
_PATIENCE = 900.0  # seconds; a cluster that grows may start its first machine with a GPU in this time


@dataclass(frozen=True)
class Probe:
    """What is measured: a fold as large as the largest of its kind.

    Attributes
    ----------
    model, inputs, recipe, classes
        What is trained.
    trained, tested
        Numbers of clips.
    model_files
        The user's model files, with their text.
    """

    model: str
    inputs: tuple[InputSpec, ...]
    recipe: Recipe
    classes: int
    trained: int
    tested: int
    model_files: tuple[ModelFile, ...]

    def key(self, code: str) -> str:
        """Hash of all that decides the measurement, but for the GPU."""
        told = ["ways", self.model, code, [asdict(taken) for taken in self.inputs], asdict(self.recipe)]
        return digest([*told, self.classes, self.trained, self.tested, version("torch")])[:20]


@dataclass(frozen=True)
class Measured:
    """What a probe found.

    Attributes
    ----------
    gpu
        Its name.
    total, peak
        Its memory, and what the process took of it at most, CUDA itself included; bytes.
    speeds
        By way, how fast it trains; see :func:`orchestrator.sweep.gpu_way.try_ways`.
    """

    gpu: str
    total: int
    peak: int
    speeds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The smallest of a few shares that holds the peak and a fifth more; 1 if none does."""
        return next((share for share in _SHARES if share * self.total >= HEADROOM * self.peak), 1.0)


Answer = TypeVar("Answer")


def on_gpus(probes: Sequence[Probe], measure: Callable[[Probe], Answer]) -> list[Answer | None]:
    """Run probes, each on a GPU of its own and in a process of its own; None for one that gave no answer."""
    import ray

    task = ray.remote(num_cpus=1, num_gpus=1, max_calls=1, max_retries=0)(measure)
    asked = [task.remote(probe) for probe in probes]
    done, late = ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE)
    for answer in late:
        ray.cancel(answer, force=True)
    found: list[Answer | None] = []
    for answer in asked:
        try:
            found.append(ray.get(answer) if answer in done else None)
        except ray.exceptions.RayError:  # also what the model's code raised: the sweep will tell
            found.append(None)
    return found


def measure(probe: Probe) -> Measured:
    """Train one epoch on the first GPU of this process, and see what it took."""
    import torch

    user_models.use(probe.model_files)
    spec = replace(models()[probe.model], inputs=probe.inputs)
    with suppress(TrainingFailed):  # random clips teach nothing
        spec.fit(spec, random_fold(probe.inputs, probe.trained, probe.tested, probe.classes), probe.recipe, 0, "cuda")
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()
    return Measured(torch.cuda.get_device_name(), total, torch.cuda.max_memory_reserved() + context)
