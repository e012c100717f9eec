"""When a race stops a configuration, and when it must not."""

import numpy as np
import pytest

from orchestrator.score.metrics import Counts, uf1
from orchestrator.search.racing import is_worse

SUBJECTS, DIVISIONS = 55, 5


def answers(skill: float, seed: int, clips: int = 6) -> Counts:
    """Confusion matrices of subjects, ``[subjects, true, predicted]``, of somebody who knows a share of the answers."""
    random = np.random.default_rng(seed)
    counts = np.zeros((SUBJECTS, 3, 3), np.int64)
    for subject in counts:
        true = random.integers(3, size=clips)
        said = np.where(random.random(clips) < skill, true, random.integers(3, size=clips))
        np.add.at(subject, (true, said), 1)
    return counts


def stopped_after(mine: Counts, rivals: Counts) -> int:
    """After how many divisions a race is over."""
    size = SUBJECTS // DIVISIONS
    worse = (is_worse(mine[: n * size], rivals[: n * size], n, SUBJECTS) for n in range(1, DIVISIONS))
    return next((count for count, stopped in enumerate(worse, 1) if stopped), DIVISIONS)


def test_who_is_far_behind_is_stopped_as_soon_as_it_is_judged() -> None:
    assert stopped_after(answers(0.2, 0), answers(0.7, 1)) == 2


def test_who_is_ahead_or_equal_is_never_stopped() -> None:
    rivals = answers(0.5, 0)
    assert stopped_after(answers(0.8, 1), rivals) == DIVISIONS
    assert stopped_after(rivals, rivals) == DIVISIONS
    perfect = np.tile(10 * np.eye(3, dtype=np.int64), (SUBJECTS, 1, 1))
    assert stopped_after(perfect, perfect) == DIVISIONS


def test_subjects_are_what_is_counted_and_not_their_clips() -> None:
    """Ten times the same answers of the same people are no more people."""
    mine, rivals = answers(0.45, 2)[:22], answers(0.55, 3)[:22]
    assert is_worse(mine, rivals, 2, SUBJECTS) == is_worse(10 * mine, 10 * rivals, 2, SUBJECTS)


@pytest.mark.parametrize("skill", [0.5, 0.9])
def test_of_equals_the_one_that_would_win_is_seldom_stopped(skill: float) -> None:
    """The test is repeated: it must neither make a lottery of the race nor be too careful to save."""
    lost, saved = [], []
    for seed in range(300):
        mine, rivals = answers(skill, 2 * seed), answers(skill, 2 * seed + 1)
        divisions = stopped_after(mine, rivals)
        if uf1(mine.sum(0)) > uf1(rivals.sum(0)):
            lost.append(divisions < DIVISIONS)
        else:
            saved.append(1 - divisions / DIVISIONS)
    assert np.mean(lost) < 0.06
    assert np.mean(saved) > 0.2
