"""Selection rules: which kept epoch of each fold counts, and after a search which configuration.

An honest rule looks at nothing of the held-out subjects. An oracle rule looks at their labels, as several published
codes do; it is always shown as oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.score.metrics import confusion, uf1

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Class predictions of one model and seed for every clip and every candidate.

    Attributes
    ----------
    predicted
        Class index, int64 ``[candidates, clips]``: one candidate for each kept epoch.
    true
        Class index, int64 ``[clips]``.
    fold
        Fold index per clip, int64 ``[clips]``.
    classes
        Number of classes.
    """

    predicted: Indices
    true: Indices
    fold: Indices
    classes: int


@dataclass(frozen=True)
class Rule:
    """A named way to choose an epoch; `choose` gives the class index per clip, int64 ``[clips]``."""

    name: str
    oracle: bool
    choose: Callable[[Predictions], Indices]


def _last(p: Predictions) -> Indices:
    last: Indices = p.predicted[-1]
    return last


def _oracle_subject(p: Predictions) -> Indices:
    """Per fold the epoch with the best test accuracy, the later one of equals (as HTNet's code)."""
    right = p.predicted == p.true
    folds = int(p.fold.max()) + 1
    per_fold = np.stack([np.bincount(p.fold, weights=row, minlength=folds) for row in right])  # [epochs, folds]
    best = len(per_fold) - 1 - per_fold[::-1].argmax(0)
    chosen: Indices = p.predicted[best[p.fold], np.arange(len(p.fold))]
    return chosen


def _oracle_epoch(p: Predictions) -> Indices:
    """The one epoch for all folds with the best pooled UF1, the later one of equals."""
    scores = uf1(np.stack([confusion(p.true, row, p.classes) for row in p.predicted]))
    chosen: Indices = p.predicted[len(scores) - 1 - int(scores[::-1].argmax())]
    return chosen


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("last", oracle=False, choose=_last),
        # Chosen before the final training, whose last epoch it is.
        Rule("inner", oracle=False, choose=_last),
        Rule("oracle-subject", oracle=True, choose=_oracle_subject),
        Rule("oracle-epoch", oracle=True, choose=_oracle_epoch),
    )
}
