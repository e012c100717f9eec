"""Dividing the training subjects of a fold: most are trained on, some validate what is to be chosen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mer_data.schema import Clip

_PARTS = 5  # a fifth of the training subjects validates


def validation(clips: Sequence[Clip], labels: Sequence[str], seed: int) -> tuple[str, ...]:
    """Choose about a fifth of the training clips of a fold to validate on, whole subjects at a time.

    Parameters
    ----------
    clips, labels
        The training clips with their classes. Each class of each source dataset is spread over both sides as evenly as
        whole subjects allow.
    seed
        Decides between divisions that are equally good.

    Returns
    -------
    Ids of the clips to validate on, sorted.

    Raises
    ------
    ValueError
        If there are less than two subjects.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # a second to import, and needed by searches only

    subjects = np.array([clip.subject for clip in clips])
    parts = min(_PARTS, len(np.unique(subjects)))
    if parts < 2:
        raise ValueError("one subject cannot be divided into training and validation")
    _, strata = np.unique(
        [f"{clip.dataset} {label}" for clip, label in zip(clips, labels, strict=True)], return_inverse=True
    )
    _, classes = np.unique(labels, return_inverse=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer clips than parts is no reason to stop
        divisions = list(
            StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(subjects, strata, groups=subjects)
        )
    best = min((chosen for _, chosen in divisions), key=lambda chosen: _unevenness(chosen, strata, classes, parts))
    return tuple(sorted(clips[index].id for index in best))


def _unevenness(
    chosen: npt.NDArray[np.int64], strata: npt.NDArray[np.int64], classes: npt.NDArray[np.int64], parts: int
) -> tuple[int, float]:
    """How many classes one of the sides lacks, then how far the strata are from their even share."""
    of_class, there = np.bincount(classes), np.bincount(classes[chosen], minlength=classes.max() + 1)
    lacking = int(((there == 0) | (there == of_class)).sum())
    shares = np.bincount(strata[chosen], minlength=strata.max() + 1) / np.bincount(strata)
    return lacking, float(np.abs(shares - 1 / parts).sum())
