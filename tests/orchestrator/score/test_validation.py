"""The best epoch over the divisions of a search."""

import numpy as np
import pytest

from orchestrator.score.metrics import uf1
from orchestrator.score.validation import DivisionScore, believed, counted, pooled_score

TRUE, SUBJECT = np.array([0, 0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1, 0])


def score(logits: np.ndarray, epochs: tuple[int, ...]) -> DivisionScore:
    counts = counted(logits.argmax(-1), TRUE, SUBJECT, 3)
    return DivisionScore(epochs, counts, believed(logits, TRUE), 1.0)


def test_confidence_counts_classes_alike() -> None:
    """Answering the frequent class with certainty is worth no more than its share of the classes."""
    constant = np.zeros((1, 6, 3), np.float32)
    constant[..., 0] = 20
    assert pooled_score([score(constant, (1,))]).confidence == pytest.approx(1 / 3, abs=1e-6)


def test_one_epoch_is_chosen_for_all_divisions_together() -> None:
    """Each division has an epoch of its own that is better there; the one that is good in both is taken."""
    right, wrong = 5 * np.eye(3, dtype=np.float32)[TRUE], 5 * np.eye(3, dtype=np.float32)[(TRUE + 1) % 3]
    fair = right.copy()
    fair[4] = wrong[4]
    divisions = [score(np.stack(answers), (10, 20, 30)) for answers in ([right, fair, wrong], [wrong, fair, right])]
    found = pooled_score(divisions)
    assert found.epoch == 20
    assert found.counts.shape == (4, 3, 3), "the subjects of both divisions"
    assert found.uf1 == pytest.approx(float(uf1(found.counts.sum(0))))


def test_of_equal_epochs_the_surer_then_the_earlier_is_taken() -> None:
    sure, unsure = 9 * np.eye(3, dtype=np.float32)[TRUE], np.eye(3, dtype=np.float32)[TRUE]
    assert pooled_score([score(np.stack([unsure, sure, sure]), (1, 2, 3))]).epoch == 2


def test_counts_are_those_of_each_subject() -> None:
    counts = counted(np.array([[0, 1, 0, 0, 1, 0]]), TRUE, SUBJECT, 3)
    assert counts.shape == (1, 2, 3, 3)
    assert counts[0, 0].tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert counts[0, 1].tolist() == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]
