"""Folds of random clips: to measure what a training takes, and to have all that a first one imports done before."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from mer_models.spec import FoldArrays, InputSpec, ModelSpec, Recipe


def random_fold(inputs: Sequence[InputSpec], trained: int, tested: int, classes: int) -> FoldArrays:
    """A fold of random clips; each input is one clip many times, which takes no memory.

    Parameters
    ----------
    inputs
        What the model eats.
    trained, tested, classes
        Numbers of clips and of classes.
    """
    random = np.random.default_rng(0)

    def clips(taken: InputSpec, count: int) -> Any:
        shape = taken.shape
        clip = random.integers(256, size=shape, dtype=np.uint8) if taken.bytes else random.random(shape, "float32")
        return np.broadcast_to(clip, (count, *taken.shape))

    return FoldArrays(
        train=tuple(clips(taken, trained) for taken in inputs),
        labels=np.arange(trained) % classes,
        test=tuple(clips(taken, tested) for taken in inputs),
        test_clips=tested,
        classes=classes,
    )


def rehearse(spec: ModelSpec, recipe: Recipe, classes: int, device: str) -> None:
    """Train on a few random clips for one epoch, and forget it.

    The first training of a process imports and compiles for seconds, which is no time of its fold. What goes wrong here
    goes wrong in the fold too, and is told there.
    """
    with suppress(Exception):
        fold = random_fold(spec.inputs, 2 * classes, 2, classes)
        spec.fit(spec, fold, replace(recipe, epochs=1, keep_every=1), 0, device)
