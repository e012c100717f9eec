"""Two models on the same subjects: the difference of their pooled scores, and whether it could be luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.score.bootstrap import draw, percentiles, pooled
from orchestrator.score.metrics import Counts, Floats

LEVEL = 0.05  # of the whole family of tests
DRAWS = 9_999
_EXACT = 13  # up to so many subjects all swaps are gone through
_SEED = 20190514  # any fixed number: the same ledger must give the same p
_ROUNDING = 1e-9  # differences that are equal on paper
Metric = Callable[[Counts], Floats]


@dataclass(frozen=True)
class Difference:
    """The first model's score less the second one's, on the scale of the metric (0 to 1).

    Attributes
    ----------
    value
        Difference of the pooled scores, each a mean over runs and seeds.
    interval
        Its 95 % interval if other subjects were drawn, the same ones for both models; None if each source has one.
    p
        Two-sided, of the swap test; see :func:`swap_test`.
    exact
        Whether all swaps were gone through, or some were drawn.
    subjects, freedom
        How many there are, and how many less one of each source.
    subject_error
        Standard error if other subjects were drawn; None if a source has one subject only.
    seed_error
        Standard error if other seeds were drawn; None for one seed.
    """

    value: float
    interval: tuple[float, float] | None
    p: float
    exact: bool
    subjects: int
    freedom: int
    subject_error: float | None
    seed_error: float | None


def difference(first: Counts, second: Counts, strata: npt.NDArray[np.int64], metric: Metric) -> Difference:
    """Compare two models.

    Parameters
    ----------
    first, second
        Confusion matrices ``[seeds, runs, subjects, true, predicted]`` of the same runs and subjects, and equally many
        seeds, which are paired in their order.
    strata
        Source dataset of each subject as an index, int64 ``[subjects]``.
    metric
        Maps confusion matrices ``[..., true, predicted]`` to values ``[...]``.

    References
    ----------
    Subjects' standard error: stratified jackknife (Wolter, "Introduction to variance estimation", 2nd edition, 2007,
    section 4.5; Efron and Stein, "The jackknife estimate of variance", Annals of Statistics 9, 1981).
    """
    one, other = (counts.reshape(-1, *counts.shape[2:]) for counts in (first, second))
    p, exact = swap_test(one, other, metric)
    of_seed = metric(first.sum(2)).mean(1) - metric(second.sum(2)).mean(1)
    freedom = len(strata) - len(np.unique(strata))
    interval = None
    if freedom:
        weights = draw(strata)
        interval = percentiles(_gap(pooled(one, weights), pooled(other, weights), metric), strata)
    return Difference(
        value=float(of_seed.mean()),
        interval=interval,
        p=p,
        exact=exact,
        subjects=len(strata),
        freedom=freedom,
        subject_error=_jackknife(one, other, strata, metric),
        seed_error=float(of_seed.std(ddof=1) / np.sqrt(len(of_seed))) if len(of_seed) > 1 else None,
    )


def swap_test(first: Counts, second: Counts, metric: Metric) -> tuple[float, bool]:
    """The share of tables that differ as much as the observed one, if it does not matter whose answers are whose.

    All answers of a subject, of all runs and seeds, are swapped between the two models or not, since the clips of a
    subject depend on each other and seeds share its clips. Confusion matrices are linear in the swaps; the metric is
    not, and is computed anew for each draw. Subjects for whom both models have the same matrices change nothing. With
    at most 13 others, all swaps are gone through; else 9,999 are drawn, and the observed table is counted as one more.

    Parameters
    ----------
    first, second
        Confusion matrices ``[runs and seeds, subjects, true, predicted]``; the metric is averaged over the first axis.
    metric
        Maps confusion matrices ``[..., true, predicted]`` to values ``[...]``.

    Returns
    -------
    The two-sided p, and whether it is exact.

    References
    ----------
    Yeh, "More accurate tests for the statistical significance of result differences", COLING 2000 (approximate
    randomisation for F scores), with subjects as the units; Phipson and Smyth, "Permutation p-values should never be
    zero", Statistical Applications in Genetics and Molecular Biology 9, 2010, for (1 + count) / (1 + draws).
    """
    differ = (first != second).any((0, 2, 3))
    step = (second - first)[:, differ]
    count = step.shape[1]
    exact = count <= _EXACT
    if exact:
        swaps = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        swaps = np.random.default_rng(_SEED).integers(2, size=(DRAWS, count))
    moved = pooled(step, swaps)  # [runs and seeds, draws, true, predicted]
    gaps = _gap(first.sum(1)[:, None] + moved, second.sum(1)[:, None] - moved, metric)
    observed = _gap(first.sum(1), second.sum(1), metric)
    as_large = int((np.abs(gaps) >= np.abs(observed) - _ROUNDING).sum())
    return (as_large / len(swaps), True) if exact else ((1 + as_large) / (1 + DRAWS), False)


def smallest_p(subjects: int) -> float:
    """The smallest p that the swap test can give: of all swaps, none and all of them differ most."""
    return max(2.0 ** (1 - subjects), 1 / (1 + DRAWS))


def holm(p: Sequence[float], family: int) -> list[float]:
    """Adjusted p values: one below a level is significant at it, and of all true null hypotheses none mostly is.

    Parameters
    ----------
    p
        Of the tests that were made.
    family
        How many tests there could have been, at least ``len(p)``. Those that were not made are taken for ones.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min((family - rank) * p[index], 1.0))
        adjusted[index] = highest
    return adjusted


def detectable(error: float, freedom: int, family: int) -> float:
    """The smallest true difference that a test finds in four of five cases.

    That is (t(1 - 0.05 / (2 family)) + t(0.8)) standard errors, Student's t with `freedom` degrees: for many subjects
    and one test 2.80 standard errors. In a family the first step of Holm's procedure is taken, the strictest.

    Parameters
    ----------
    error
        Standard error of the difference.
    freedom
        How many subjects there are, less one for each source dataset.
    family
        How many tests there are.

    References
    ----------
    Bloom, "Minimum detectable effects", Evaluation Review 19, 1995.
    """
    from scipy.special import stdtrit  # a quarter of a second to import

    return float(error * (stdtrit(freedom, 1 - LEVEL / (2 * family)) + stdtrit(freedom, 0.8)))


def _gap(first: Counts, second: Counts, metric: Metric) -> Floats:
    """Difference of the means over the first axis."""
    gap: Floats = metric(first).mean(0) - metric(second).mean(0)
    return gap


def _jackknife(first: Counts, second: Counts, strata: npt.NDArray[np.int64], metric: Metric) -> float | None:
    """Standard error of the difference, from leaving out each subject in turn; see :func:`difference`."""
    variance = 0.0
    for source in np.unique(strata):
        there = strata == source
        size = int(there.sum())
        if size < 2:  # nothing is known of how the subjects of this source differ
            return None
        # The others of the source count size / (size - 1) for the one left out; all counts times (size - 1) stay whole.
        one, other = (
            (counts.sum(1) - counts[:, there].sum(1))[:, None] * (size - 1)
            + (counts[:, there].sum(1)[:, None] - counts[:, there]) * size
            for counts in (first, second)
        )
        variance += (size - 1) * float(_gap(one, other, metric).var())
    return float(np.sqrt(variance))
