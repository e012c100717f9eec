"""UF1, UAR and their relatives, from confusion matrices.

Every function takes confusion matrices ``[..., true class, predicted class]`` of counts and works on all leading
axes at once. A class without true clips has no recall; it is left out of the means (its wrong predictions still
lower the other classes' recall), and :func:`classes_scored` tells which classes took part.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def confusion(true: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int) -> Counts:
    """Confusion matrix ``[true, predicted]`` of class indices of equal shape."""
    if true.shape != predicted.shape:
        raise ValueError(f"{true.shape} true labels, {predicted.shape} predictions")
    flat = np.bincount((true * classes + predicted).ravel(), minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def classes_scored(counts: Counts) -> npt.NDArray[np.bool_]:
    """Which classes have true clips, ``[..., classes]``."""
    scored: npt.NDArray[np.bool_] = counts.sum(-1) > 0
    return scored


def f1(counts: Counts) -> Floats:
    """F1 of each class, 2 TP / (2 TP + FP + FN), ``[..., classes]``; 0 for a class without clips and predictions."""
    return _ratio(2 * _hits(counts), counts.sum(-1) + counts.sum(-2))


def recall(counts: Counts) -> Floats:
    """Recall of each class, TP / (TP + FN), ``[..., classes]``; 0 for a class without true clips."""
    return _ratio(_hits(counts), counts.sum(-1))


def precision(counts: Counts) -> Floats:
    """Precision of each class, TP / (TP + FP), ``[..., classes]``; 0 for a class that is never predicted."""
    return _ratio(_hits(counts), counts.sum(-2))


def uf1(counts: Counts) -> Floats:
    """Unweighted F1: the mean over classes of 2 TP / (2 TP + FP + FN) (MEGC 2019; See et al., FG 2019)."""
    return _class_mean(f1(counts), counts)


def uar(counts: Counts) -> Floats:
    """Unweighted average recall: the mean over classes of TP / (TP + FN)."""
    return _class_mean(recall(counts), counts)


def accuracy(counts: Counts) -> Floats:
    """Share of clips whose class was found."""
    return _ratio(_hits(counts).sum(-1), counts.sum((-2, -1)))


def weighted_f1(counts: Counts) -> Floats:
    """F1 per class weighted by the class's share of the true clips."""
    return _ratio((f1(counts) * counts.sum(-1)).sum(-1), counts.sum((-2, -1)))


def fold_mean_uf1(per_fold: Counts) -> float:
    """Mean over folds of each fold's macro F1; for comparison with codes that average, never a headline.

    Most folds lack a class, so this is not UF1. The classes of a fold are those among its truth or its predictions,
    as scikit-learn's macro average takes them. `per_fold` is ``[folds, true, predicted]``.
    """
    return _fold_mean(f1(per_fold), per_fold)


def fold_mean_uar(per_fold: Counts) -> float:
    """Mean over folds of each fold's macro recall; see :func:`fold_mean_uf1`."""
    return _fold_mean(recall(per_fold), per_fold)


def _hits(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(top: npt.NDArray[np.float64] | Counts, bottom: Counts) -> Floats:
    """Top / bottom, with 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)


def _class_mean(values: Floats, counts: Counts) -> Floats:
    scored = classes_scored(counts)
    return _ratio((values * scored).sum(-1), scored.sum(-1))


def _fold_mean(values: Floats, per_fold: Counts) -> float:
    met = (per_fold.sum(-1) + per_fold.sum(-2)) > 0
    return float(_ratio((values * met).sum(-1), met.sum(-1)).mean())
