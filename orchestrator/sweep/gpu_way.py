"""How folds are trained on a GPU: operator by operator, unless the GPU itself has shown that another way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mer_models.pack import LARGEST, why_not
from mer_models.spec import models
from orchestrator.experiment import user_models
from orchestrator.experiment.sections import Gpu
from orchestrator.sweep.gpu_probe import HEADROOM, Measured, Probe
from orchestrator.sweep.places import Place
from orchestrator.sweep.rehearsal import random_fold

FASTER = 1.2  # times; less is not worth another way
GAP = 1e-5  # of the largest logit, by which another way may differ


@dataclass(frozen=True)
class Verdict:
    """How folds of a kind are trained on GPUs, and why so."""

    place: Place
    why: str


def try_ways(probe: Probe) -> dict[str, Any]:
    """Train a few epochs each way on the first GPU of this process; a recording that fails may end it.

    By way (plain, graph, pack) the fields of a :class:`mer_models.gpu_ways.Speed`, or in words why there is none; and
    ``bytes``, what a recorded fold takes in a pack.
    """
    import torch

    from mer_models.gpu_ways import TOGETHER, Speed, differing_fold, measure_ways

    user_models.use(probe.model_files)
    spec = replace(models()[probe.model], inputs=probe.inputs)
    of = probe.inputs, probe.trained, probe.tested, probe.classes
    reason = why_not(spec, random_fold(*of), replace(probe.recipe, epochs=LARGEST))
    if reason:
        return {"graph": reason}
    ways = measure_ways(spec, differing_fold(*of), probe.recipe)
    told = {way: asdict(found) if isinstance(found, Speed) else found for way, found in ways.items()}
    return {**told, "bytes": torch.cuda.max_memory_reserved() // TOGETHER}


def decide(found: Measured, epochs: int, wanted: Gpu) -> Verdict:
    """How folds of so many epochs are trained on a GPU of which this is known.

    Parameters
    ----------
    found
        What was measured.
    epochs
        Of the recipe.
    wanted
        What the experiment says; it comes first.
    """
    speeds, plain = found.speeds, Place(found.share)
    most = min(LARGEST, max(math.floor(found.total / (HEADROOM * max(speeds.get("bytes", found.peak), 1))), 1))
    if wanted.way == "plain":
        return Verdict(plain, "gpu: {way: plain}")
    if wanted.way == "graph":
        pack = most if isinstance(wanted.pack, str) else wanted.pack
        return Verdict(replace(plain, way="graph", pack=pack), "gpu: {way: graph}")
    if epochs <= 2:
        return Verdict(plain, "it has too few epochs to be recorded")
    if (refused := _refused(speeds, "plain", "graph", epochs)) is not None:
        return Verdict(plain, f"recorded, {refused}")
    told = _told(speeds, "graph", epochs)
    if not isinstance(wanted.pack, str):
        return Verdict(replace(plain, way="graph", pack=wanted.pack), told)
    if most == 1:
        return Verdict(replace(plain, way="graph"), f"{told}; a GPU holds one")
    if (refused := _refused(speeds, "graph", "pack", epochs)) is not None:
        return Verdict(replace(plain, way="graph"), f"{told}; side by side, {refused}")
    return Verdict(replace(plain, way="graph", pack=most), _told(speeds, "pack", epochs))


def _seconds(speed: Mapping[str, float], epochs: int) -> float:
    return max(speed["start"] + speed["epoch"] * epochs, 1e-9)


def _refused(speeds: Mapping[str, Any], known: str, other: str, epochs: int) -> str | None:
    """Why another way is not taken; None if it is."""
    found = speeds.get(other)
    if not isinstance(found, Mapping):
        return f"it was not measured ({found})" if found else "it was not measured"
    if found["gap"] > GAP:
        return f"its logits differ by {found['gap']:.0e}"
    times = _seconds(speeds[known], epochs) / _seconds(found, epochs)
    return None if times >= FASTER else f"a fold would be {times:.1f} times as fast, which is not worth it"


def _told(speeds: Mapping[str, Any], way: str, epochs: int) -> str:
    times = _seconds(speeds["plain"], epochs) / _seconds(speeds[way], epochs)
    same = "the same bytes" if not speeds[way]["gap"] else f"logits within {speeds[way]['gap']:.0e}"
    return f"{times:.1f} times as fast, {same}"
