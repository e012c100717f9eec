"""What a fold's validation subjects say about a configuration: which epoch is best, and how good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.score.metrics import Counts, confusion, uf1


@dataclass(frozen=True)
class ValidationScore:
    """A configuration on the inner division of one fold, at its best epoch there.

    Attributes
    ----------
    epoch
        The kept epoch with the highest UF1 on the validation clips; of equals the one with the higher confidence, then
        the earlier one.
    uf1
        UF1 of the validation clips.
    confidence
        Mean over classes of the mean probability (softmax) of the true class of its validation clips.
    counts
        Their confusion matrix ``[true, predicted]``.
    seconds
        How long the training took.
    """

    epoch: int
    uf1: float
    confidence: float
    counts: Counts
    seconds: float

    @staticmethod
    def of(
        epochs: Sequence[int], logits: npt.NDArray[np.float32], true: npt.NDArray[np.int64], seconds: float
    ) -> ValidationScore:
        """From logits ``[kept epochs, validation clips, classes]`` and class indices ``[validation clips]``."""
        wide = logits.astype(np.float64)
        powers = np.exp(wide - wide.max(-1, keepdims=True))
        right = powers[:, np.arange(len(true)), true] / powers.sum(-1)
        share = 1 / np.bincount(true, minlength=logits.shape[-1])[true]  # every class counts as much, as in UF1
        confidence = right @ (share / share.sum())
        counts = np.stack([confusion(true, row, logits.shape[-1]) for row in wide.argmax(-1)])
        scores = uf1(counts)
        best = max(range(len(epochs)), key=lambda index: (scores[index], confidence[index], -index))
        return ValidationScore(epochs[best], float(scores[best]), float(confidence[best]), counts[best], seconds)


@dataclass(frozen=True)
class Choice:
    """What is trained for a held-out subject: configuration number, its parameters, epochs; and its inner UF1."""

    number: int
    params: Mapping[str, Any]
    epoch: int
    inner_uf1: float
