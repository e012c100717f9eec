"""The race between the configurations of one search: when one of them is stopped."""

from __future__ import annotations

import numpy as np

from orchestrator.score.metrics import Counts, uf1

_STANDARD_ERRORS = 1.645  # the one-sided 5 % of a normal distribution
_FIRST_DIVISIONS = 2  # nothing is judged on the subjects of a single one


def is_worse(mine: Counts, rivals: Counts, divisions: int, subjects: int) -> bool:
    """Whether a configuration will most likely end with a lower UF1 than its rival.

    Compared is the UF1 of both, pooled over the validation subjects that both have answered for. It is worse if it is
    behind by more than 1.645 standard errors of the difference. These come from the jackknife over subjects, whose
    clips depend on each other: the difference is computed again without each subject in turn. Since there is a limited
    number of subjects, the error gets smaller as they are answered for, and is zero at the end (the correction for
    finite populations).

    Parameters
    ----------
    mine, rivals
        Confusion matrices of the validation answers, each at its best epoch so far,
        ``[subjects so far, true, predicted]``, with the same subjects in the same order.
    divisions
        From how many divisions these answers are.
    subjects
        How many subjects there are over all divisions.

    References
    ----------
    Efron and Stein, "The jackknife estimate of variance", Annals of Statistics 9, 1981.
    """
    count = len(mine)
    if divisions < _FIRST_DIVISIONS or count < 2:
        return False
    both = np.stack([mine, rivals])  # [2, subjects, true, predicted]
    whole = both.sum(1)
    behind, ahead = uf1(whole)
    if behind >= ahead:
        return False
    without = np.subtract(*uf1(whole[:, None] - both))  # [subjects]
    variance = (count - 1) * without.var() * (1 - count / subjects)
    return bool(ahead - behind > _STANDARD_ERRORS * np.sqrt(variance))
