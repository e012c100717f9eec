"""Several folds in one process of a GPU, each in a lane of its own: epoch by epoch in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mer_models.spec import RESIDENT_BYTES, FoldArrays, ModelSpec, Outcome, Recipe

if TYPE_CHECKING:
    from mer_models.recorded import Lane, RecordedFold

# PyTorch hands out 32 streams and then the first ones again.
LARGEST = 32


@dataclass(frozen=True)
class PackedFold:
    """What :func:`mer_models.train.fit` is given for a fold."""

    spec: ModelSpec
    arrays: FoldArrays
    recipe: Recipe
    seed: int


@dataclass(frozen=True)
class Ended:
    """The end of one fold of a pack.

    Attributes
    ----------
    place
        Which fold, counted from 0.
    result
        Its outcome, or what it raised; None for a fold that the GPU's memory did not hold beside the others, and that
        was not begun therefore.
    seconds
        Its part of the pack's time.
    """

    place: int
    result: Outcome | Exception | None
    seconds: float


def why_not(spec: ModelSpec, arrays: FoldArrays, recipe: Recipe) -> str:
    """Why a fold is trained operator by operator, whatever the device can do; empty if it may be recorded."""
    if spec.build is None or (spec.fit.__module__, spec.fit.__name__) != ("mer_models.train", "fit"):
        return "it is not trained by the loop for networks"
    if recipe.epochs <= 2:
        return "it has too few epochs"
    if any(rows.nbytes > RESIDENT_BYTES for rows in (*arrays.train, *arrays.test)):
        return "its clips do not lie on the GPU"
    return ""


def train_pack(
    folds: Sequence[PackedFold],
    tell: Callable[[int, int, int], None],
    make_lane: Callable[[], Lane] | None = None,
) -> Iterator[Ended]:
    """Train folds side by side; each has the result that it has alone.

    Parameters
    ----------
    folds
        At most 32, of any networks and lengths, each of which may be recorded
        (:func:`why_not`).
    tell
        Called with place, epochs done and epochs of all, after every epoch.
    make_lane
        Makes a lane; one of the GPU if not given.

    Yields
    ------
    Ended
        As each ends. Whatever recording itself raises is raised: the process must not record again.
    """
    import torch

    from mer_models.recorded import GraphLane, RecordedFold

    make_lane = make_lane or GraphLane
    running: dict[int, RecordedFold] = {}
    seconds = [0.0] * len(folds)
    for place, fold in enumerate(folds):
        start = time.perf_counter()
        try:
            running[place] = RecordedFold(fold.spec, fold.arrays, fold.recipe, fold.seed, make_lane())
        except torch.cuda.OutOfMemoryError as error:
            if not running:
                yield Ended(place, error, 0.0)
                continue
            torch.cuda.empty_cache()
            yield from (Ended(late, None, 0.0) for late in range(place, len(folds)))
            break
        except Exception as error:  # a fold that fails does not concern the others
            yield Ended(place, error, time.perf_counter() - start)
            continue
        seconds[place] = time.perf_counter() - start
    for place, begun in running.items():
        start = time.perf_counter()
        begun.record()
        seconds[place] += time.perf_counter() - start
    lanes = list(running.values())  # graphs of one process end together
    while running:
        start, sharing = time.perf_counter(), list(running)
        over = [place for place, fold in running.items() if not _advanced(fold, place, folds[place].recipe, tell)]
        for place in sharing:
            seconds[place] += (time.perf_counter() - start) / len(sharing)
        for place in over:
            yield Ended(place, _result(running.pop(place)), seconds[place])
    del lanes


def _advanced(fold: RecordedFold, place: int, recipe: Recipe, tell: Callable[[int, int, int], None]) -> bool:
    if not fold.advance():
        return False
    tell(place, fold.done, recipe.epochs)
    return True


def _result(fold: RecordedFold) -> Outcome | Exception:
    try:
        return fold.outcome()
    except Exception as error:  # it diverged, which does not concern the others
        return error
