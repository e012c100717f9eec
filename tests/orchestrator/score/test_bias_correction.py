"""The score of the best of many, corrected for having been chosen."""

import numpy as np
import pytest

from orchestrator.score.bias_correction import corrected
from orchestrator.score.metrics import Counts, uf1


def guesses(subjects: int, configurations: int, seed: int, *, one_class_each: bool = False) -> Counts:
    """Confusion matrices ``[configurations, subjects, true, predicted]`` of guesses; four clips for each subject."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(subjects), 4)
    true = person % 3 if one_class_each else np.arange(4 * subjects) % 3
    counts = np.zeros((configurations, subjects, 3, 3), np.int64)
    for configuration in counts:
        np.add.at(configuration, (person, true, random.integers(3, size=len(true))), 1)
    return counts


def test_the_corrected_score_of_guesses_is_that_of_guessing() -> None:
    naive, honest = [], []
    for seed in range(24):
        counts = guesses(30, 30, seed)
        naive.append(float(uf1(counts.sum(1)).max()))
        found = corrected(counts, np.zeros(30, np.int64), uf1, uf1)
        assert found is not None
        honest.append(found.value)
    assert np.mean(naive) > 0.40
    assert np.mean(honest) == pytest.approx(1 / 3, abs=0.02)


def test_draws_that_leave_out_no_clip_of_a_class_say_nothing() -> None:
    """With five people most draws lack a class among those left out, and the others are no fair sample of them."""
    counts = guesses(5, 10, 0, one_class_each=True)
    assert corrected(counts, np.zeros(5, np.int64), uf1, uf1) is None
    whole = guesses(30, 10, 0)
    whole[:, :, 2] = 0  # a class that nobody has is not missed
    assert corrected(whole, np.zeros(30, np.int64), uf1, uf1) is not None
