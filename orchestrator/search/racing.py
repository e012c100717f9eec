"""The race between configurations: in which order folds are trained, and when a configuration is stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from orchestrator.experiment.cohort import Cohort
from orchestrator.score.metrics import Counts, uf1

# Nothing is judged on fewer folds: the first five or so validate on nearly everybody once.
_FIRST_FOLDS = 6
_STANDARD_ERRORS = 1.645  # the one-sided 5 % of a normal distribution


def is_worse(mine: Counts, rivals: Counts, folds: int) -> bool:
    """Whether a configuration will most likely end with a lower UF1 than its rival.

    Compared are the UF1 of both, pooled over the folds that the configuration has. It is worse if it is behind by more
    than 1.645 standard errors of the difference. These come from the jackknife: the difference is computed again
    without each fold in turn. Since there is a limited number of folds, the error gets smaller as they are trained, and
    is zero at the end (the correction for finite populations).

    Parameters
    ----------
    mine, rivals
        Confusion matrices of the validation answers, ``[folds so far, true, predicted]``, in the order of the race.
    folds
        How many there are in all.

    References
    ----------
    Efron and Stein, "The jackknife estimate of variance", Annals of Statistics 9, 1981.
    """
    count = len(mine)
    if not _FIRST_FOLDS <= count <= len(rivals):
        return False
    both = np.stack([mine, rivals[:count]])  # [2, folds, true, predicted]
    whole = both.sum(1)
    ahead, behind = uf1(whole)[::-1]
    if behind >= ahead:
        return False
    without = np.subtract(*uf1(whole[:, None] - both))  # [folds]
    variance = (count - 1) * without.var() * (1 - count / folds)
    return bool(ahead - behind > _STANDARD_ERRORS * np.sqrt(variance))


def race_order(validation: Mapping[str, Sequence[str]], cohort: Cohort) -> list[str]:
    """The folds in an order in which the first ones say much.

    Each fold validates on a fifth of the subjects. Next comes always the fold whose validation clips were validated
    on least so far, rare classes counting as much as frequent ones.
    """
    names = sorted(validation)
    position = {clip_id: index for index, clip_id in enumerate(cohort.clip_ids)}
    frequency = {label: cohort.labels.count(label) for label in cohort.classes}
    weight = np.array([1 / frequency[label] for label in cohort.labels])
    used = np.zeros((len(names), len(weight)), bool)
    for row, name in enumerate(names):
        used[row, [position[clip_id] for clip_id in validation[name]]] = True
    times = np.zeros(len(weight))
    order: list[str] = []
    left = list(range(len(names)))
    while left:
        gain = (used[left] * (weight / (1 + times))).sum(1)
        best = left.pop(int(gain.argmax()))
        times += used[best]
        order.append(names[best])
    return order
