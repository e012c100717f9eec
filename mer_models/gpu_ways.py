"""How fast a GPU trains a fold, operator by operator, recorded, and in a pack; and whether it computes the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mer_models.pack import PackedFold, train_pack
from mer_models.recorded import GraphLane, Lane
from mer_models.spec import FoldArrays, ModelSpec, Outcome, Recipe

TOGETHER = 4
_SHORT, _LONG = 3, 9  # epochs; what is left of their difference in time is that of epochs alone


@dataclass(frozen=True)
class Speed:
    """One way of training folds.

    Attributes
    ----------
    start
        Seconds of a fold besides its epochs: what is brought to the GPU, the first epoch, the recording.
    epoch
        Seconds of each epoch of a fold.
    gap
        The largest difference of its logits from those of the plain way, over the largest of those logits.
    """

    start: float
    epoch: float
    gap: float = 0.0

    def fold(self, epochs: int) -> float:
        """Seconds of a whole fold."""
        return self.start + self.epoch * epochs


def measure_ways(
    spec: ModelSpec,
    arrays: FoldArrays,
    recipe: Recipe,
    device: str = "cuda",
    make_lane: Callable[[], Lane] = GraphLane,
) -> dict[str, Speed | str]:
    """Speeds by way, ``plain``, ``graph`` and ``pack``; in place of a speed, why it could not be had.

    Parameters
    ----------
    spec, arrays, recipe
        A fold that may be recorded (:func:`mer_models.pack.why_not`); the recipe is shortened.
    device, make_lane
        The GPU, but for tests.
    """

    def plain(seeds: Sequence[int], epochs: int) -> list[Outcome]:
        short = replace(recipe, epochs=epochs, keep_every=1)
        return [spec.fit(spec, arrays, short, seed, device) for seed in seeds]

    def recorded(seeds: Sequence[int], epochs: int) -> list[Outcome]:
        short = replace(recipe, epochs=epochs, keep_every=1)
        folds = [PackedFold(spec, arrays, short, seed) for seed in seeds]
        results: dict[int, Outcome] = {}
        for end in train_pack(folds, lambda *_: None, make_lane):
            if not isinstance(end.result, Outcome):
                raise end.result or MemoryError(f"the GPU does not hold {len(folds)} of them")
            results[end.place] = end.result
        return [results[place] for place in range(len(folds))]

    several = list(range(TOGETHER))
    wanted = plain(several, _SHORT)  # and all that a first training imports
    found: dict[str, Speed | str] = {"plain": _timed(plain, [0], wanted[:1])}
    for way, seeds in (("graph", [0]), ("pack", several)):
        try:
            found[way] = _timed(recorded, seeds, wanted[: len(seeds)])
        except Exception as error:  # of whatever kind: it cannot be recorded here
            found[way] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            break  # the process is of no more use to recordings
    return found


def _timed(
    train: Callable[[Sequence[int], int], list[Outcome]], seeds: Sequence[int], wanted: Sequence[Outcome]
) -> Speed:
    """Seconds per fold, and how far the logits are from what is wanted."""
    begin = time.perf_counter()
    got = train(seeds, _SHORT)
    middle = time.perf_counter()
    train(seeds, _LONG)
    short, long = middle - begin, time.perf_counter() - middle
    epoch = max((long - short) / (_LONG - _SHORT), 0.0)
    gap = max(_gap(one, other) for one, other in zip(got, wanted, strict=True))
    return Speed(max(short - _SHORT * epoch, 0.0) / len(seeds), epoch / len(seeds), gap)


def _gap(one: Outcome, other: Outcome) -> float:
    if np.array_equal(one.logits, other.logits):
        return 0.0
    return float(np.abs(one.logits - other.logits).max() / max(float(np.abs(other.logits).max()), 1e-30))
