"""Which share of a GPU one fold takes, measured on a GPU before a sweep: one epoch of a fold on random input.

One epoch, and not one step or two: the clips lie on the device too, and are there twice while they are brought to it;
and an epoch is a small part of one fold.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mer_data.files import write_json
from mer_data.hashing import digest
from mer_models.plugins import ModelFile
from mer_models.spec import InputSpec, Range, Recipe, TrainingFailed, models
from orchestrator.console import Console
from orchestrator.experiment import user_models
from orchestrator.experiment.plan import Job, Plan
from orchestrator.sweep.rehearsal import random_fold

# Few, so that worker processes are reused: only trials that take equal shares follow each other in one process.
_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
_HEADROOM = 1.2
_PATIENCE = 900.0  # seconds; a cluster that grows may start its first machine with a GPU in this time


@dataclass(frozen=True)
class Probe:
    """What is measured: a fold as large as the largest of its kind.

    Attributes
    ----------
    model, inputs, recipe, classes
        What is trained; one epoch of it.
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
        told = [self.model, code, [asdict(taken) for taken in self.inputs], asdict(self.recipe)]
        return digest([*told, self.classes, self.trained, self.tested, version("torch")])[:20]


@dataclass(frozen=True)
class Measured:
    """What a probe found: the GPU, its memory, and what the process took of it at most, CUDA itself included; bytes."""

    gpu: str
    total: int
    peak: int

    @property
    def share(self) -> float:
        """The smallest of a few shares that holds the peak and a fifth more; 1 if none does."""
        return next((share for share in _SHARES if share * self.total >= _HEADROOM * self.peak), 1.0)


class Shares:
    """The share of a GPU that a job takes: as measured, else as its model declares."""

    def __init__(self, plan: Plan, measured: Mapping[tuple[str, str], Mapping[int, float]]) -> None:
        self._plan, self._measured = plan, measured

    def __call__(self, job: Job) -> float:
        """That of the smallest batch measured that is not smaller than the job's."""
        batch = self._plan.recipe(job).batch_size
        known = self._measured.get((job.dataset, job.model), {})
        fitting = [size for size in known if size >= batch]
        return known[min(fitting)] if fitting else models()[job.model].gpu_share


Ask = Callable[[Sequence[Probe]], Sequence[Measured | None]]


def measure_shares(plan: Plan, out: Path, console: Console, ask: Ask | None = None, kinds: str | None = None) -> Shares:
    """Measure every kind of fold of a plan that was not measured before on such GPUs.

    Parameters
    ----------
    plan, out
        What will be trained, and the output folder; its file ``gpu.json`` keeps what was measured.
    console
        Where it is told.
    ask, kinds
        How probes are run, and names of the cluster's GPUs; those of the running Ray cluster if not given.
    """
    probes = _probes(plan)
    path = out / "gpu.json"
    kept = _read(path)
    keys = {probe: probe.key(plan.codes[probe.model]) for probe in probes.values()}
    here = _kinds() if kinds is None else kinds
    known = {probe: found for probe, key in keys.items() if (found := _find(kept, here, key)) is not None}
    missing = [probe for probe in keys if probe not in known]
    if missing:
        names = ", ".join(sorted({probe.model for probe in missing}))
        console.say(f"measuring which share of a GPU a fold takes: {names}")
        answers = (ask or _on_gpus)(missing)
        here = _kinds() if kinds is None else kinds  # a cluster that grows has GPUs only now
        for probe, found in zip(missing, answers, strict=True):
            if found is None:
                console.warn(f"{probe.model}: could not be measured, so a fold takes the share that the model declares")
                continue
            known[probe] = found
            told = {"model": probe.model, "batch_size": probe.recipe.batch_size, "torch": version("torch")}
            kept[f"{here}/{keys[probe]}"] = {**told, **asdict(found)}
        write_json(path, kept)
    measured: defaultdict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for (dataset, model, batch), probe in probes.items():
        if probe in known:
            measured[dataset, model][batch] = known[probe].share
    shares = {f"{model} {Fraction(max(of.values()))}" for (_, model), of in measured.items()}
    if shares:
        console.say(f"share of a GPU for one fold: {', '.join(sorted(shares))}")
    return Shares(plan, measured)


def _probes(plan: Plan) -> dict[tuple[str, str, int], Probe]:
    """By dataset, model and batch size: what to measure. Models that declare no share use no GPU."""
    wanted: dict[tuple[str, str, int], Recipe] = {}
    for job in plan.jobs:
        recipe = plan.recipe(job)
        wanted[job.dataset, job.model, recipe.batch_size] = recipe
    for study in plan.studies:
        batches = study.space.get("batch_size", (study.recipe.batch_size,))
        for batch in (batches.high,) if isinstance(batches, Range) else batches:
            wanted[study.dataset, study.model, int(batch)] = replace(study.recipe, batch_size=int(batch))
    return {
        (dataset, model, batch): _probe(plan, dataset, model, recipe)
        for (dataset, model, batch), recipe in wanted.items()
        if models()[model].gpu_share
    }


def _probe(plan: Plan, dataset: str, model: str, recipe: Recipe) -> Probe:
    cohort, folds = plan.datasets[dataset].cohort, plan.datasets[dataset].folds.values()
    trained = max(len(fold.train_ids) for fold in folds)
    if recipe.balance == "oversample":  # every class has then as many clips as the largest
        counts = [Counter(cohort.label_of[clip_id] for clip_id in fold.train_ids) for fold in folds]
        trained = max(len(count) * max(count.values(), default=0) for count in counts)
    return Probe(
        model,
        plan.datasets[dataset].inputs[model],
        replace(recipe, epochs=1, keep_every=1),
        len(cohort.classes),
        trained,
        max(len(fold.test_ids) for fold in folds),
        plan.model_files,
    )


def _read(path: Path) -> dict[str, Any]:
    """What was measured before; nothing if the file is not there or damaged: it is measured again."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _find(kept: Mapping[str, Any], kinds: str, key: str) -> Measured | None:
    """What was measured on GPUs of these kinds; on any, where the cluster has none yet."""
    for place, found in kept.items():
        if place.rpartition("/")[2] == key and kinds in ("", place.rpartition("/")[0]):
            return Measured(found["gpu"], found["total"], found["peak"])
    return None


def _kinds() -> str:
    """Names of the cluster's GPUs as Ray calls them; nothing if it has none yet."""
    import ray

    prefix = "accelerator_type:"
    names: Mapping[str, float] = ray.cluster_resources()
    return "+".join(sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix)))


def _on_gpus(probes: Sequence[Probe]) -> list[Measured | None]:
    """Run probes, each on a GPU of its own and in a process of its own; None for one that gave no answer."""
    import ray

    task = ray.remote(num_cpus=1, num_gpus=1, max_calls=1, max_retries=0)(measure)
    asked = [task.remote(probe) for probe in probes]
    done, late = ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE)
    for answer in late:
        ray.cancel(answer, force=True)
    found: list[Measured | None] = []
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
