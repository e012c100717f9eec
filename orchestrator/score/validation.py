"""What validation subjects say about a configuration: which epoch is best, and how good it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.score.metrics import Counts, Floats, uf1


@dataclass(frozen=True)
class DivisionScore:
    """A configuration on one division of a search, after every kept epoch.

    Attributes
    ----------
    epochs
        The kept epochs, ascending.
    counts
        Confusion matrices, int64 ``[epochs, validation subjects, true, predicted]``.
    belief
        Per epoch and class, the sum over the class's clips of the probability (softmax) of that class, float64
        ``[epochs, classes]``.
    seconds
        How long the training took.
    """

    epochs: tuple[int, ...]
    counts: Counts
    belief: Floats
    seconds: float


@dataclass(frozen=True)
class ValidationScore:
    """A configuration over divisions, at its best epoch there.

    Attributes
    ----------
    epoch
        Of the kept epochs the one with the highest UF1, pooled over all validation clips; of equals the one with the
        higher confidence, then the earlier one.
    uf1
        That UF1.
    confidence
        Mean over classes of the mean probability of the true class.
    counts
        Confusion matrices at that epoch, int64 ``[validation subjects, true, predicted]``.
    """

    epoch: int
    uf1: float
    confidence: float
    counts: Counts


@dataclass(frozen=True)
class Choice:
    """What is trained for a group: number of the configuration, its parameters, its epochs; and its score there."""

    number: int
    params: Mapping[str, Any]
    epoch: int
    inner_uf1: float


def believed(logits: npt.NDArray[np.float32], true: npt.NDArray[np.int64]) -> Floats:
    """Per epoch and class, the summed probability (softmax) of the class for its clips; see :class:`DivisionScore`.

    Parameters
    ----------
    logits
        float32 ``[epochs, clips, classes]``.
    true
        Class index, int64 ``[clips]``.
    """
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(-1, keepdims=True))
    right = powers[:, np.arange(len(true)), true] / powers.sum(-1)  # [epochs, clips]
    return np.stack([right[:, true == index].sum(1) for index in range(logits.shape[-1])], axis=1)


def counted(
    predicted: npt.NDArray[np.int64], true: npt.NDArray[np.int64], subject: npt.NDArray[np.int64], classes: int
) -> Counts:
    """Confusion matrices, int64 ``[epochs, subjects, true, predicted]``.

    Parameters
    ----------
    predicted
        Class index, int64 ``[epochs, clips]``.
    true, subject
        Class index and index of the subject, int64 ``[clips]``; subjects are counted from 0 without gaps.
    classes
        How many there are.
    """
    counts = np.zeros((len(predicted), int(subject.max()) + 1, classes, classes), np.int64)
    np.add.at(counts, (np.arange(len(predicted))[:, None], subject, true, predicted), 1)
    return counts


def pooled_score(divisions: Sequence[DivisionScore]) -> ValidationScore:
    """The best epoch of a configuration over some divisions, all of the same epochs: one epoch for all of them."""
    counts = np.concatenate([division.counts for division in divisions], axis=1)
    pooled = counts.sum(1)  # [epochs, true, predicted]
    clips = pooled[0].sum(-1)  # per class
    belief = np.sum([division.belief for division in divisions], axis=0)
    confidence = (belief[:, clips > 0] / clips[clips > 0]).mean(1)
    scores = uf1(pooled)
    best = max(range(len(scores)), key=lambda index: (scores[index], confidence[index], -index))
    return ValidationScore(divisions[0].epochs[best], float(scores[best]), float(confidence[best]), counts[best])
