"""When a race stops a configuration, and when it must not."""

import numpy as np
import pytest

from orchestrator.score.metrics import Counts, uf1
from orchestrator.search.racing import is_worse

FOLDS = 68


def answers(skill: float, seed: int, clips: int = 30) -> Counts:
    """Confusion matrices of folds, ``[folds, true, predicted]``, of somebody who knows a share of the answers."""
    random = np.random.default_rng(seed)
    counts = np.zeros((FOLDS, 3, 3), np.int64)
    for fold in counts:
        true = random.integers(3, size=clips)
        said = np.where(random.random(clips) < skill, true, random.integers(3, size=clips))
        np.add.at(fold, (true, said), 1)
    return counts


def stopped_after(mine: Counts, rivals: Counts) -> int:
    """After how many folds a race is over."""
    return next((count for count in range(1, FOLDS) if is_worse(mine[:count], rivals, FOLDS)), FOLDS)


def test_who_is_far_behind_is_stopped_at_once() -> None:
    assert stopped_after(answers(0.2, 0), answers(0.7, 1)) == 6


def test_who_is_ahead_or_equal_is_never_stopped() -> None:
    rivals = answers(0.5, 0)
    assert stopped_after(answers(0.8, 1), rivals) == FOLDS
    assert stopped_after(rivals, rivals) == FOLDS
    perfect = np.tile(10 * np.eye(3, dtype=np.int64), (FOLDS, 1, 1))
    assert stopped_after(perfect, perfect) == FOLDS


def test_nothing_is_judged_beyond_what_the_rival_has() -> None:
    assert not is_worse(answers(0.2, 0), answers(0.7, 1)[:5], FOLDS)


@pytest.mark.parametrize("skill", [0.5, 0.9])
def test_of_equals_the_one_that_would_win_is_seldom_stopped(skill: float) -> None:
    """The test is repeated after each fold: it must neither make a lottery of the race nor be too careful to save."""
    lost, saved = [], []
    for seed in range(150):
        mine, rivals = answers(skill, 2 * seed), answers(skill, 2 * seed + 1)
        folds = stopped_after(mine, rivals)
        if uf1(mine.sum(0)) > uf1(rivals.sum(0)):
            lost.append(folds < FOLDS)
        else:
            saved.append(1 - folds / FOLDS)
    assert np.mean(lost) < 0.25
    assert np.mean(saved) > 0.4
