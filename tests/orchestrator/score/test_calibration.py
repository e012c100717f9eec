"""Scores of probabilities against counted examples and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from orchestrator.score.calibration import calibration, log_softmax


def test_agrees_with_scikit_learn_and_with_the_definition() -> None:
    random = np.random.default_rng(0)
    logits, true = random.normal(size=(57, 4)).astype(np.float32), random.integers(4, size=57)
    found, probabilities = calibration(log_softmax(logits), true), np.exp(log_softmax(logits))
    assert found.log_loss == pytest.approx(log_loss(true, probabilities, labels=range(4)))
    assert found.brier == pytest.approx(np.mean(np.sum((probabilities - np.eye(4)[true]) ** 2, axis=1)))


def test_bins_hold_equally_many_clips() -> None:
    """All confidences lie between 0.9 and 1, where bins of equal width would see one bin: half right, 95 % sure."""
    sure = np.linspace(0.9, 1 - 1e-9, 20)
    true = np.repeat([1, 0], 10)  # the surer half is right
    found = calibration(np.log(np.stack([sure, 1 - sure], axis=1)), true)
    assert found.ece == pytest.approx((sure[:10].sum() + (1 - sure[10:]).sum()) / 20)
    assert found.ece > abs(0.5 - sure.mean()) + 0.02


def test_wrong_and_certain_is_a_number() -> None:
    found = calibration(log_softmax(np.array([[3e38, -3e38]], np.float32)), np.array([1]))
    assert np.isfinite(found.log_loss)
    assert (found.brier, found.ece) == (2.0, 1.0)
