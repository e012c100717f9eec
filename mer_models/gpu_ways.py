"""How fast a GPU trains a fold, operator by operator, recorded, and in a pack; and whether it computes the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mer_models.pack import PackedFold, train_pack
from mer_models.recorded import GraphLane, Lane
from mer_models.spec import Arrays, FoldArrays, InputSpec, ModelSpec, Outcome, Recipe

TOGETHER = 4
_SHORT, _LONGEST = 3, 2187  # epochs


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


def differing_fold(inputs: Sequence[InputSpec], trained: int, tested: int, classes: int) -> FoldArrays:
    """A fold of random clips, each unlike all others: a wrong order of them shows in the logits."""
    random = np.random.default_rng(0)

    def clips(count: int) -> Arrays:
        return tuple(
            random.integers(0, 256, (count, *taken.shape), np.uint8)
            if taken.bytes
            else random.standard_normal((count, *taken.shape), np.float32)
            for taken in inputs
        )

    return FoldArrays(clips(trained), np.arange(trained) % classes, clips(tested), tested, classes)


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
    gap = max(_gap(one, other) for one, other in zip(train(seeds, _SHORT), wanted, strict=True))
    start, epoch = start_and_epoch(lambda epochs: train(seeds, epochs))
    return Speed(start / len(seeds), epoch / len(seeds), gap)


def start_and_epoch(train: Callable[[int], object]) -> tuple[float, float]:
    """Seconds of a training besides its epochs, and of one epoch, from a short training and a long one.

    The long one has so many epochs that they take as long as all else: what varies from start to start is small then.
    """

    def seconds(epochs: int) -> float:
        begin = time.perf_counter()
        train(epochs)
        return time.perf_counter() - begin

    short, epochs = seconds(_SHORT), _SHORT
    long = short
    while long < 2 * short and epochs < _LONGEST:
        epochs *= 3
        long = seconds(epochs)
    epoch = max((long - short) / (epochs - _SHORT), 0.0)
    return max(short - _SHORT * epoch, 0.0), epoch


def _gap(one: Outcome, other: Outcome) -> float:
    if np.array_equal(one.logits, other.logits):
        return 0.0
    return float(np.abs(one.logits - other.logits).max() / max(float(np.abs(other.logits).max()), 1e-30))
