"""Two models on the same subjects: cases counted by hand, and by simulation how often the test is wrong and right."""

import numpy as np
import pytest

from orchestrator.score.bootstrap import interval
from orchestrator.score.comparison import Difference, detectable, difference, holm, smallest_p, swap_test
from orchestrator.score.metrics import Counts, accuracy, uar, uf1

SIMULATIONS = 500


def tables(rights: list[tuple[int, int]]) -> Counts:
    """Matrices ``[1, subjects, 2, 2]`` of subjects with so many right answers of class 0 and of class 1, of 4 each."""
    return np.array([[[[a, 4 - a], [4 - b, b]] for a, b in rights]], np.int64)


def by_hand(first: Counts, second: Counts) -> float:
    """The exact p, by going through all swaps one by one."""
    gaps = []
    count = first.shape[1]
    for swaps in np.ndindex(*(2,) * count):
        one, other = first[0].copy(), second[0].copy()
        for subject in np.flatnonzero(swaps):
            one[subject], other[subject] = second[0, subject], first[0, subject]
        gaps.append(float(uf1(one.sum(0)) - uf1(other.sum(0))))
    observed = float(uf1(first[0].sum(0)) - uf1(second[0].sum(0)))
    return float(np.mean(np.abs(gaps) >= abs(observed) - 1e-9))


def test_few_subjects_are_swapped_in_every_way() -> None:
    first, second = tables([(4, 4), (4, 3), (3, 4), (4, 2), (4, 4)]), tables([(2, 1), (3, 3), (1, 2), (0, 2), (2, 3)])
    p, exact = swap_test(first, second, uf1)
    assert (p, exact) == (2 / 32, True), "only the table itself and its mirror image differ as much"
    assert p == by_hand(first, second) == smallest_p(5)
    other = tables([(2, 1), (4, 4), (1, 2), (4, 2), (2, 3)])  # better once, the same once
    p, exact = swap_test(first, other, uf1)
    assert (p, exact) == (by_hand(first, other), True)
    assert p > 2 / 32


def test_all_answers_of_a_subject_are_swapped_together() -> None:
    """Three seeds of the same subjects are no more subjects: the p stays what it is with one."""
    first, second = tables([(4, 4), (4, 3), (3, 4), (4, 2)]), tables([(2, 1), (3, 3), (1, 2), (0, 2)])
    assert (
        swap_test(np.repeat(first, 3, 0), np.repeat(second, 3, 0), uf1)
        == swap_test(first, second, uf1)
        == (1 / 8, True)
    )


def test_subjects_answered_alike_change_nothing() -> None:
    random = np.random.default_rng(0)
    first, second = (tables([tuple(random.integers(5, size=2)) for _ in range(9)]) for _ in range(2))
    alike = tables([(3, 2)] * 30)
    p, exact = swap_test(np.concatenate([first, alike], 1), np.concatenate([second, alike], 1), accuracy)
    assert exact
    assert p == swap_test(first, second, accuracy)[0]
    assert swap_test(alike, alike, uf1) == (1.0, True)


def test_drawn_swaps_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    first = tables([(int(a), int(b)) for a, b in random.integers(1, 5, size=(12, 2))])
    second = tables([(int(a), int(b)) for a, b in random.integers(0, 4, size=(12, 2))])
    p, exact = swap_test(first, second, uf1)
    assert exact
    monkeypatch.setattr("orchestrator.score.comparison._EXACT", 11)
    drawn, exact = swap_test(first, second, uf1)
    assert not exact
    assert drawn == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 9_999) + 1e-4)
    assert drawn * 10_000 == pytest.approx(round(drawn * 10_000)), "the observed table is one of ten thousand"


def test_the_difference_is_that_of_the_scores_with_its_errors() -> None:
    random = np.random.default_rng(1)
    first, second = (random.integers(0, 5, size=(3, 2, 20, 3, 3)) for _ in range(2))
    strata = np.arange(20) % 2
    found, back = difference(first, second, strata, uar), difference(second, first, strata, uar)
    scores = [uar(counts.sum(2)).mean(1) for counts in (first, second)]
    assert found.value == pytest.approx(scores[0].mean() - scores[1].mean())
    assert found.seed_error == pytest.approx(np.std(scores[0] - scores[1], ddof=1) / np.sqrt(3))
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
    assert (back.value, back.p) == (pytest.approx(-found.value), found.p)
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]), abs=1e-3)
    assert (found.subjects, found.freedom) == (20, 18)
    same = difference(first, first, strata, uar)
    assert (same.interval, same.p) == ((0, 0), 1), "the same people are drawn for both"


def test_the_standard_error_is_that_of_a_mean_where_the_metric_is_one() -> None:
    """With equally many clips each, accuracy is the mean over subjects, whose standard error is known."""
    random = np.random.default_rng(2)
    hits = random.integers(0, 9, size=(2, 40))
    counts = np.zeros((2, 1, 1, 40, 2, 2), np.int64)
    counts[:, 0, 0, :, 0, 0], counts[:, 0, 0, :, 0, 1] = hits, 8 - hits
    gaps = (hits[0] - hits[1]) / 8
    found = difference(counts[0], counts[1], np.zeros(40, np.int64), accuracy)
    assert found.subject_error == pytest.approx(gaps.std(ddof=1) / np.sqrt(40))
    sources = np.repeat([0, 1], [10, 30])
    of_source = [gaps[:10].var(ddof=1) * 10 / 1600, gaps[10:].var(ddof=1) * 30 / 1600]
    assert difference(counts[0], counts[1], sources, accuracy).subject_error == pytest.approx(np.sqrt(sum(of_source)))


def test_one_subject_of_a_source_has_no_spread() -> None:
    counts = np.ones((1, 1, 3, 2, 2), np.int64)
    assert difference(counts, counts, np.array([0, 0, 1]), uf1).subject_error is None
    alone = difference(counts, counts, np.arange(3), uf1)
    assert alone.interval is alone.subject_error is alone.seed_error is None


def test_holm_by_hand() -> None:
    # Holm's procedure on four: 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, and never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005], 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.04, 0.04], 2) == pytest.approx([0.08, 0.08])
    assert holm([0.5, 0.6], 2) == [1.0, 1.0]
    assert holm([0.01, 0.02], 10) == pytest.approx([0.1, 0.18]), "tests that were not made count"
    assert holm([], 0) == []


def test_what_can_be_detected() -> None:
    assert detectable(0.01, 10**9, 1) == pytest.approx(0.01 * (1.959964 + 0.841621), abs=1e-6)
    assert detectable(0.01, 7, 1) == pytest.approx(0.01 * (2.364624 + 0.896030), abs=1e-6)  # tables of Student's t
    assert detectable(0.01, 65, 9) > detectable(0.01, 65, 1) > detectable(0.01, 10**9, 1)
    assert [smallest_p(n) for n in (1, 5, 6, 68)] == [1.0, 1 / 16, 1 / 32, 1e-4]


Skills = tuple[tuple[float, float], tuple[float, float]]
EQUAL: Skills = ((6, 3), (6, 3))
UNEVEN: Skills = ((60, 30), (0.6, 0.3))  # as good, but the second knows everything of some people and nothing of others
BETTER: Skills = ((7.25, 2.75), (6.36, 3.64))  # knows 0.725 against 0.636, which is 0.089 * 2 / 3 in accuracy


def people(random: np.random.Generator, subjects: int, seeds: int, skills: Skills) -> Counts:
    """Answers ``[2 models, seeds, 1, subjects, true, predicted]``; clips are hard or easy for both models alike."""
    counts = np.zeros((2, seeds, 1, subjects, 3, 3), np.int64)
    for subject in range(subjects):
        true = random.choice(3, size=int(random.integers(2, 12)), p=[0.55, 0.25, 0.2])
        hard = random.random((seeds, len(true))) * 0.5 + random.random(len(true)) * 0.5
        # The triangular distribution of `hard`, made uniform: so many clips are known as the skill says.
        hard = np.where(hard < 0.5, 2 * hard**2, 1 - 2 * (1 - hard) ** 2)
        for model, (a, b) in enumerate(skills):
            knows = hard < random.beta(a, b)
            said = np.where(knows, true, random.integers(3, size=hard.shape))
            for seed in range(seeds):
                np.add.at(counts[model, seed, 0, subject], (true, said[seed]), 1)
    return counts


def simulated(
    subjects: int, seeds: int, sources: int, skills: Skills, simulations: int
) -> tuple[list[Difference], int]:
    """What the comparison finds in many tables, and in how many the separate intervals do not overlap."""
    random, found, apart = np.random.default_rng(1), [], 0
    strata = np.arange(subjects) % sources
    for _ in range(simulations):
        first, second = people(random, subjects, seeds, skills)
        found.append(difference(first, second, strata, uf1))
        one, other = (interval(counts[:, 0], strata, uf1) for counts in (first, second))
        assert one is not None
        assert other is not None
        apart += one[0] > other[1] or other[0] > one[1]
    return found, apart


@pytest.mark.slow
@pytest.mark.parametrize("skills", [EQUAL, UNEVEN], ids=["equal", "uneven"])
@pytest.mark.parametrize(("subjects", "seeds", "sources"), [(8, 1, 1), (26, 1, 1), (68, 3, 3)])
def test_equal_models_are_told_apart_in_one_of_twenty_tables(
    subjects: int, seeds: int, sources: int, skills: Skills
) -> None:
    found, _ = simulated(subjects, seeds, sources, skills, SIMULATIONS)
    size = np.mean([one.p <= 0.05 for one in found])
    assert size <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / SIMULATIONS), size


@pytest.mark.slow
def test_a_difference_is_found_as_often_as_said_and_more_often_than_by_intervals() -> None:
    """The true difference is the one that is said to be found in four of five cases; intervals mostly overlap."""
    found, apart = simulated(68, 3, 3, BETTER, SIMULATIONS)
    said = np.mean([detectable(one.subject_error or 0.0, one.freedom, 1) for one in found])
    assert said == pytest.approx(np.mean([one.value for one in found]), abs=0.003)
    power = np.mean([one.p <= 0.05 for one in found])
    assert 0.74 < power < 0.86, power
    assert apart / len(found) < 0.35
