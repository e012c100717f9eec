"""How far a model's probabilities can be believed: log loss, Brier score, calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.score.metrics import Floats

_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Scores of probabilities; the less the better.

    Attributes
    ----------
    log_loss
        Mean over clips of -log of the true class's probability, in nats.
    brier
        Mean over clips of the squared distance between the probabilities and the true class, 0 to 2.
    ece
        Expected calibration error, 0 to 1.
    """

    log_loss: float
    brier: float
    ece: float


def log_softmax(logits: npt.NDArray[np.float32]) -> Floats:
    """Logarithms of the probabilities (softmax) of logits ``[clips, classes]``; finite wherever these are."""
    wide = logits.astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    normalised: Floats = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    return normalised


def calibration(log_probabilities: Floats, true: npt.NDArray[np.int64]) -> Calibration:
    """Score the probabilities of some clips.

    The calibration error has ten bins of clips with similar confidence, equally many in each, since bins of equal width
    are mostly empty for a few hundred clips: the mean over the bins, weighted by their clips, of the distance between
    the share of right answers and the mean confidence.

    Parameters
    ----------
    log_probabilities
        float64 ``[clips, classes]``.
    true
        Class index, int64 ``[clips]``.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950, equation 2.
    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3, for the calibration error; Nguyen and
    O'Connor, "Posterior calibration and exploratory analysis for natural language processing models", EMNLP 2015, for
    bins of equal mass.
    """
    probabilities = np.exp(log_probabilities)
    own = np.arange(len(true)), true
    truth = np.zeros_like(probabilities)
    truth[own] = 1.0
    confidence = probabilities.max(-1)
    right = (probabilities.argmax(-1) == true).astype(np.float64)
    bins = np.array_split(np.argsort(confidence, kind="stable"), min(_BINS, len(true)))
    error = sum(len(members) * abs(right[members].mean() - confidence[members].mean()) for members in bins)
    return Calibration(
        log_loss=float(-log_probabilities[own].mean()),
        brier=float(((probabilities - truth) ** 2).sum(-1).mean()),
        ece=float(error / len(true)),
    )
