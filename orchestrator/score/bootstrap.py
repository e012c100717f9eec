"""Uncertainty of pooled scores: resample subjects, because the clips of a subject depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from orchestrator.score.metrics import Counts, Floats

_DRAWS = 2000
_SEED = 20190514  # any fixed number: the same ledger must give the same interval


def draw(strata: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each subject is drawn, int64 ``[draws, subjects]``; always the same draws for the same strata.

    As many subjects are drawn, with replacement, from each source dataset as it has.
    """
    return _draw(tuple(strata.tolist()))


@lru_cache(maxsize=32)  # every row of a table asks for the draws of the same subjects
def _draw(of: tuple[int, ...]) -> npt.NDArray[np.int64]:
    strata = np.array(of, np.int64)
    random = np.random.default_rng(_SEED)
    weights = np.zeros((_DRAWS, len(strata)), np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        weights[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), _DRAWS)
    weights.flags.writeable = False
    return weights


def pooled(per_subject: Counts, weights: npt.NDArray[np.int64]) -> Counts:
    """Confusion matrices of draws: of what each row of weights makes of the subjects.

    Parameters
    ----------
    per_subject
        Confusion matrices ``[..., subjects, true, predicted]``.
    weights
        How often each subject counts, int64 ``[draws, subjects]``.

    Returns
    -------
    int64 ``[..., draws, true, predicted]``. The draws lie side by side in memory, so that sums over classes are quick.
    """
    # As floats, because NumPy multiplies whole numbers slowly; they are exact, being far below 2 ** 53.
    drawn = np.tensordot(per_subject.astype(np.float64), weights.astype(np.float64), (-3, 1))
    return np.moveaxis(drawn.astype(np.int64), -1, -3)


def interval(
    per_subject: Counts,
    strata: npt.NDArray[np.int64],
    metric: Callable[[Counts], Floats],
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Expanded percentile interval of a pooled metric under resampling of subjects within each source dataset.

    Percentiles of the draws alone are too narrow for few subjects: a draw's variance is too small, and its normal tails
    ignore that the variance is estimated. Both are mended by taking percentiles further out.

    Parameters
    ----------
    per_subject
        Confusion matrices ``[seeds, subjects, true, predicted]``; the metric is averaged over the seeds.
    strata
        Source dataset of each subject as an index, int64 ``[subjects]``.
    metric
        Maps confusion matrices ``[..., true, predicted]`` to values ``[...]``.
    level
        Coverage of the interval.

    Returns
    -------
    None if each source has one subject: nothing can be said of others then.

    References
    ----------
    Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69, 2015, section 5.3
    (expanded percentiles), with the degrees of freedom that remain when every source dataset has its own mean.
    """
    found = intervals(per_subject, strata, [metric], level)
    return None if found is None else found[0]


def intervals(
    per_subject: Counts,
    strata: npt.NDArray[np.int64],
    metrics: Sequence[Callable[[Counts], Floats]],
    level: float = 0.95,
) -> list[tuple[float, float]] | None:
    """The intervals of several metrics on the same draws, otherwise as :func:`interval`."""
    if expanded_tail(len(strata), len(np.unique(strata)), level) is None:
        return None
    drawn = pooled(per_subject, draw(strata))
    return [percentiles(metric(drawn).mean(0), strata, level) for metric in metrics]


def percentiles(values: Floats, strata: npt.NDArray[np.int64], level: float = 0.95) -> tuple[float, float]:
    """The expanded percentiles of what the draws of :func:`draw` gave, float64 ``[draws]``.

    Raises
    ------
    ValueError
        If each source has one subject.
    """
    tail = expanded_tail(len(strata), len(np.unique(strata)), level)
    if tail is None:
        raise ValueError("one subject of each source says nothing of others")
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def expanded_tail(subjects: int, sources: int, level: float) -> float | None:
    """The share of draws on each side of an interval: below (1 - `level`) / 2, and the less the fewer subjects."""
    from scipy.special import ndtr, stdtrit  # a quarter of a second to import, which `mer status` need not wait for

    freedom = subjects - sources
    if freedom < 1:
        return None
    return float(ndtr(-np.sqrt(subjects / freedom) * stdtrit(freedom, (1 + level) / 2)))
