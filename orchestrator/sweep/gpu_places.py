"""Where the folds of a plan are trained on GPUs: as was measured, remembered in ``gpu.json`` of the output folder."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mer_data.files import write_json
from mer_models.spec import Range, Recipe
from orchestrator.console import Console
from orchestrator.experiment.declarations import declaration
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.sections import Gpu
from orchestrator.sweep.gpu_probe import Measured, Probe, measure, on_gpus
from orchestrator.sweep.gpu_way import decide, try_ways
from orchestrator.sweep.places import Place, declared


class Places:
    """Where a job is trained: as a GPU has shown, else as its model declares."""

    def __init__(self, plan: Plan, measured: Mapping[tuple[str, str], Mapping[int, Measured]], wanted: Gpu) -> None:
        self._plan, self._measured, self._wanted = plan, measured, wanted

    def __call__(self, job: Job) -> Place:
        """By the smallest batch measured that is not smaller than the job's."""
        recipe = self._plan.recipe(job)
        known = self._measured.get((job.dataset, job.model), {})
        fitting = [size for size in known if size >= recipe.batch_size]
        if not fitting:
            return declared(job)
        found = known[min(fitting)]
        return decide(found, recipe.epochs, self._wanted).place


Ask = Callable[[Sequence[Probe]], Sequence[Measured | None]]


def find_places(
    plan: Plan, out: Path, console: Console, wanted: Gpu, ask: Ask | None = None, kinds: str | None = None
) -> Places:
    """Measure every kind of fold of a plan that was not measured before on such GPUs.

    Parameters
    ----------
    plan, out
        What will be trained, and the output folder; its file ``gpu.json`` keeps what was measured.
    console
        Where it is told.
    wanted
        What the experiment says of GPUs.
    ask, kinds
        How probes are run, and names of the cluster's GPUs; those of the running Ray cluster if not given.
    """
    recipes = _recipes(plan)
    probes = {kind: _probe(plan, *kind[:2], recipe) for kind, recipe in recipes.items()}
    path = out / "gpu.json"
    kept = _read(path)
    keys = {probe: probe.key(plan.codes[probe.model]) for probe in probes.values()}
    here = _kinds() if kinds is None else kinds
    ways = wanted.way == "auto"  # else they decide nothing, and take minutes
    remembered = {probe: _find(kept, here, key) for probe, key in keys.items()}
    known = {probe: found for probe, found in remembered.items() if found and (found.speeds or not ways)}
    missing = [probe for probe in keys if probe not in known]
    if missing:
        names = ", ".join(sorted({probe.model for probe in missing}))
        more = ", and how it trains fastest" if ways else ""
        console.say(f"measuring which share of a GPU a fold takes{more}: {names}")
        answers = (ask or partial(_ask_gpus, ways=ways))(missing)
        here = _kinds() if kinds is None else kinds  # a cluster that grows has GPUs only now
        for probe, found in zip(missing, answers, strict=True):
            if found is None:
                console.warn(f"{probe.model}: could not be measured, so a fold takes the share that the model declares")
                continue
            known[probe] = found
            told = {"model": probe.model, "batch_size": probe.recipe.batch_size, "torch": version("torch")}
            kept[f"{here}/{keys[probe]}"] = {**told, **asdict(found)}
        write_json(path, kept)
    measured: defaultdict[tuple[str, str], dict[int, Measured]] = defaultdict(dict)
    lines: set[str] = set()
    for (dataset, model, batch), probe in probes.items():
        if probe in known:
            measured[dataset, model][batch] = known[probe]
            lines.add(_told(model, known[probe], recipes[dataset, model, batch].epochs, wanted))
    for line in sorted(lines):
        console.say(line)
    return Places(plan, measured, wanted)


def _told(model: str, found: Measured, epochs: int, wanted: Gpu) -> str:
    """A kind of fold in one line: its share of a GPU, how it is trained there, and why so."""
    verdict = decide(found, epochs, wanted)
    how = "operator by operator" if verdict.place.way == "plain" else "recorded"
    how += f", {verdict.place.pack} side by side" if verdict.place.pack > 1 else ""
    return f"{model}: a fold takes {Fraction(found.share)} of a GPU; {how} ({verdict.why})"


def _recipes(plan: Plan) -> dict[tuple[str, str, int], Recipe]:
    """By dataset, model and batch size: what to measure. Models that declare no share use no GPU."""
    wanted: dict[tuple[str, str, int], Recipe] = {}
    for job in plan.jobs:
        recipe = plan.recipe(job)
        wanted[job.dataset, job.model, recipe.batch_size] = recipe
    for study in plan.studies:
        batches = study.space.get("batch_size", (study.recipe.batch_size,))
        for batch in (batches.high,) if isinstance(batches, Range) else batches:
            wanted[study.dataset, study.model, int(batch)] = replace(study.recipe, batch_size=int(batch))
    return {kind: recipe for kind, recipe in wanted.items() if declaration(kind[1]).gpu_share}


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
            return Measured(found["gpu"], found["total"], found["peak"], found.get("speeds", {}))
    return None


def _kinds() -> str:
    """Names of the cluster's GPUs as Ray calls them; nothing if it has none yet."""
    import ray

    prefix = "accelerator_type:"
    names: Mapping[str, float] = ray.cluster_resources()
    return "+".join(sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix)))


def _ask_gpus(probes: Sequence[Probe], *, ways: bool) -> list[Measured | None]:
    """Ask the running cluster, in two processes each: a recording that fails may end the second."""
    found = on_gpus(probes, measure)
    if not ways:
        return found
    tried = on_gpus([probe for probe, one in zip(probes, found, strict=True) if one is not None], try_ways)
    speeds = iter({"graph": "it ended its process"} if one is None else one for one in tried)
    return [None if one is None else replace(one, speeds=next(speeds)) for one in found]
