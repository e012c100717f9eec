"""How firm a ranking is: the ranks of models if other subjects are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from orchestrator.score.bootstrap import draw, pooled
from orchestrator.score.metrics import Counts, Floats


def rank_shares(counts: Sequence[Counts], strata: npt.NDArray[np.int64], metric: Callable[[Counts], Floats]) -> Floats:
    """The share of draws of subjects in which each model has each rank.

    Parameters
    ----------
    counts
        Per model, confusion matrices ``[runs and seeds, subjects, true, predicted]`` of the same subjects; the metric
        is averaged over the first axis.
    strata
        Source dataset of each subject as an index, int64 ``[subjects]``.
    metric
        Maps confusion matrices ``[..., true, predicted]`` to values ``[...]``.

    Returns
    -------
    float64 ``[models, ranks]``, best rank first; rows sum to 1. Equal scores share the better rank.
    """
    weights = draw(strata)
    scores = np.round([metric(pooled(of_one, weights)).mean(0) for of_one in counts], 9)  # [models, draws]
    better = (scores[None] > scores[:, None]).sum(1)  # [models, draws]
    shares: Floats = (better[:, :, None] == np.arange(len(scores))).mean(1)
    return shares
