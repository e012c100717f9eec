"""What choosing the best of several configurations by their cross-validated scores is worth, without training again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.score.bootstrap import draw, pooled
from orchestrator.score.metrics import Counts, Floats


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
) -> Corrected:
    """Correct the score of the best configuration for having been chosen on the same clips (BBC-CV).

    Subjects are drawn with replacement within each source dataset. On those drawn the configuration is chosen, on those
    not drawn it is scored; the estimate is the mean of these scores, and the interval their percentiles.

    Parameters
    ----------
    per_subject
        Confusion matrices ``[configurations, subjects, true, predicted]`` of cross-validated answers.
    strata
        Source dataset of each subject as an index, int64 ``[subjects]``.
    choose, score
        The metric to choose by, and the one to estimate; both map ``[..., true, predicted]`` to ``[...]``.

    References
    ----------
    Tsamardinos, Greasidou, Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
    cross-validation", Machine Learning 107, 2018, algorithm 3 (BBC-CV), with subjects as the units that are drawn.
    """
    weights = draw(strata)  # [draws, subjects]
    best = choose(pooled(per_subject, weights)).argmax(0)  # [draws]
    left = pooled(per_subject, (weights == 0).astype(np.int64))[best, np.arange(len(best))]
    scored = score(left)[left.sum((1, 2)) > 0]  # a draw that leaves nobody out says nothing
    low, high = np.quantile(scored, [0.025, 0.975])
    return Corrected(float(scored.mean()), (float(low), float(high)))
