"""Guesses by the class frequencies."""

import numpy as np
import pytest

from orchestrator.score.chance import guessed_uf1, share_above
from orchestrator.score.metrics import uf1


def test_a_guesser_is_anywhere_among_guesses() -> None:
    """The share is uniform for somebody who guesses as the tables do."""
    random = np.random.default_rng(5)
    clips = random.integers(0, 6, size=(1, 30, 3))
    priors = np.broadcast_to(np.array([0.5, 0.3, 0.2]), (1, 30, 3)).copy()
    guessed = guessed_uf1(clips, priors)
    tables = random.multinomial(clips.sum(1)[0], [0.5, 0.3, 0.2], (400, 3))
    shares = [share_above(float(score), guessed) for score in uf1(tables)]
    assert np.quantile(shares, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.06)


def test_guesses_go_by_each_folds_own_frequencies() -> None:
    """Each subject has a class of its own, and its training clips tell it: every guess is right."""
    clips = np.eye(3, dtype=np.int64)[None] * 4
    assert guessed_uf1(clips, np.eye(3)[None]).tolist() == [1.0] * 2000
    assert guessed_uf1(clips, np.roll(np.eye(3), 1, axis=0)[None]).tolist() == [0.0] * 2000
