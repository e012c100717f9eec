"""The interval covers what it promises, whatever the number of subjects."""

import numpy as np
import pytest

from orchestrator.score.bootstrap import expanded_tail, interval
from orchestrator.score.metrics import Counts, uf1

SIMULATIONS = 2000


def people(random: np.random.Generator, subjects: int) -> Counts:
    """What a fixed classifier answers for some people, ``[subjects, true, predicted]``; people differ in skill."""
    counts = np.zeros((subjects, 3, 3), np.int64)
    for person in counts:
        clips = int(random.integers(2, 12))
        true = random.choice(3, size=clips, p=[0.55, 0.25, 0.2])
        knows = random.random(clips) < random.beta(6, 3)
        np.add.at(person, (true, np.where(knows, true, random.integers(3, size=clips))), 1)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(("subjects", "sources"), [(8, 1), (26, 1), (68, 3), (8, 2)])
def test_the_interval_covers_the_truth(subjects: int, sources: int) -> None:
    random = np.random.default_rng(1)
    truth = float(uf1(people(random, 200_000).sum(0)))
    strata = np.arange(subjects) % sources
    covered = 0
    for _ in range(SIMULATIONS):
        found = interval(people(random, subjects)[None], strata, uf1)
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert covered / SIMULATIONS >= 0.925, covered / SIMULATIONS


def test_few_subjects_make_it_wider() -> None:
    tails = [expanded_tail(subjects, 1, 0.95) for subjects in (5, 8, 26, 68, 10_000)]
    assert tails == sorted(tails)
    assert tails[-1] == pytest.approx(0.025, abs=1e-4)
    # Hesterberg's formula for one sample: the normal distribution's share beyond sqrt(n / (n - 1)) times Student's t.
    assert tails[1] == pytest.approx(0.00574, abs=1e-5)


def test_one_person_of_each_source_says_nothing_of_others() -> None:
    counts = np.ones((1, 2, 3, 3), np.int64)
    assert interval(counts, np.array([0, 1]), uf1) is None
