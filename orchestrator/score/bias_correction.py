"""What choosing the best of several configurations by their cross-validated scores is worth, without training again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.score.bootstrap import draw, pooled
from orchestrator.score.metrics import Counts, Floats

_PASSED_OVER = 0.1  # the share of draws that may be passed over


@dataclass(frozen=True)
class Corrected:
    """An estimate with its 95 % interval."""

    value: float
    interval: tuple[float, float]


def corrected(
    per_subject: Counts,
    strata: npt.NDArray[np.int64],
    choose: Callable[[Counts], Floats],
    score: Callable[[Counts], Floats],
) -> Corrected | None:
    """Correct the score of the best configuration for having been chosen on the same clips (BBC-CV).

    Subjects are drawn with replacement within each source dataset. On those drawn the configuration is chosen, on those
    not drawn it is scored; the estimate is the mean of these scores, and the interval their percentiles. A draw that
    leaves out nobody of some class says nothing comparable and is passed over.

    Parameters
    ----------
    per_subject
        Confusion matrices ``[configurations, subjects, true, predicted]`` of cross-validated answers.
    strata
        Source dataset of each subject as an index, int64 ``[subjects]``.
    choose, score
        The metric to choose by, and the one to estimate; both map ``[..., true, predicted]`` to ``[...]``.

    Returns
    -------
    None if more than a tenth of the draws had to be passed over: with so few subjects the others are no fair sample.

    References
    ----------
    Tsamardinos, Greasidou, Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
    cross-validation", Machine Learning 107, 2018, algorithm 3 (BBC-CV), with subjects as the units that are drawn.
    """
    weights = draw(strata)  # [draws, subjects]
    # One after the other, because all matrices of all draws would not fit into memory.
    best = np.stack([choose(pooled(of_one, weights)) for of_one in per_subject]).argmax(0)  # [draws]
    left_out = (weights == 0).astype(np.float64)
    # For each draw the matrix of the configuration chosen in it, over the subjects left out in it.
    left = np.einsum("ds,dstp->dtp", left_out, per_subject[best].astype(np.float64)).astype(np.int64)
    has_classes = per_subject.sum((0, 1, 3)) > 0
    says = (left.sum(-1)[:, has_classes] > 0).all(1)
    if says.mean() < 1 - _PASSED_OVER:
        return None
    scored = score(left[says])
    low, high = np.quantile(scored, [0.025, 0.975])
    return Corrected(float(scored.mean()), (float(low), float(high)))
