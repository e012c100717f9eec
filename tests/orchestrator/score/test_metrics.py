"""Metrics against published matrices and counted examples (protocols.md of the field: MEGC 2019)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from orchestrator.score import metrics
from orchestrator.score.bootstrap import interval, pooled

# Pooled confusion matrices that STSTNet's published log gives, with the UF1 and UAR recomputed from it.
PUBLISHED = {
    "full": ([[219, 22, 9], [40, 62, 7], [21, 3, 59]], 0.7353, 0.7186),
    "smic": ([[54, 10, 6], [17, 30, 4], [14, 1, 28]], 0.6801, 0.6703),
    "casme2": ([[83, 5, 0], [12, 19, 1], [2, 0, 23]], 0.8382, 0.8190),
    "samm": ([[82, 7, 3], [11, 13, 2], [5, 2, 8]], 0.6588, 0.6415),
}
# Subjects of MEGC 2019: negative, positive, surprise clips of each.
CASME2 = "210 513 401 200 015 112 500 100 550 400 524 020 030 111 120 335 200 100 200 710 201 302 920"
SUBJECTS = [[int(digit) for digit in subject] for subject in CASME2.split()] + [[23, 7, 1]]
SUBJECTS += [[3, 2, 1], [0, 1, 5], [22, 11, 6], [10, 4, 5], [1, 0, 1], [2, 0, 2], [9, 4, 0], [0, 1, 3]]
SUBJECTS += [[3, 3, 1], [0, 8, 1], [0, 10, 0], [3, 2, 5], [1, 1, 2], [2, 0, 5], [0, 1, 1], [14, 3, 5]]
SUBJECTS += [
    [9, 0, 2],
    [1, 5, 2],
    [3, 0, 1],
    [4, 0, 0],
    [13, 7, 0],
    [2, 0, 1],
    [6, 0, 0],
    [2, 7, 1],
    [2, 0, 1],
]
SUBJECTS += [
    [2, 1, 2],
    [3, 0, 1],
    [2, 0, 1],
    [0, 1, 0],
    [2, 2, 0],
    [2, 0, 0],
    [3, 2, 0],
    [1, 0, 0],
    [1, 0, 0],
]
SUBJECTS += [
    [9, 0, 0],
    [1, 0, 2],
    [3, 0, 0],
    [1, 0, 0],
    [4, 0, 0],
    [4, 1, 0],
    [3, 0, 0],
    [7, 0, 1],
    [1, 0, 0],
    [1, 0, 0],
]


def constant_answer() -> np.ndarray:
    """Per-subject matrices [68, 3, 3] of a model that always says negative."""
    counts = np.zeros((68, 3, 3), np.int64)
    counts[:, :, 0] = SUBJECTS
    return counts


@pytest.mark.parametrize(("matrix", "uf1", "uar"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_matrices(matrix: list[list[int]], uf1: float, uar: float) -> None:
    counts = np.array(matrix)
    assert float(metrics.uf1(counts)) == pytest.approx(uf1, abs=5e-5)
    assert float(metrics.uar(counts)) == pytest.approx(uar, abs=5e-5)
    swapped = float(metrics.uar(counts.T))
    assert abs(swapped - uar) > 1e-3, "truth and prediction must not be exchangeable"


def test_constant_answer_on_megc2019() -> None:
    per_subject = constant_answer()
    pooled = per_subject.sum(0)
    assert pooled.sum() == 442
    assert float(metrics.accuracy(pooled)) == pytest.approx(0.5656, abs=5e-5)
    assert float(metrics.uf1(pooled)) == pytest.approx(0.2408, abs=5e-5)
    assert float(metrics.uar(pooled)) == pytest.approx(0.3333, abs=5e-5)
    assert float(metrics.weighted_f1(pooled)) == pytest.approx(0.4087, abs=5e-5)
    assert metrics.fold_mean_uf1(per_subject) == pytest.approx(0.4585, abs=5e-5)
    assert metrics.fold_mean_uar(per_subject) == pytest.approx(0.5343, abs=5e-5)


def test_a_perfect_answer_is_one_pooled() -> None:
    perfect = np.array([np.diag(subject) for subject in SUBJECTS])
    assert float(metrics.uf1(perfect.sum(0))) == 1.0
    assert metrics.fold_mean_uf1(perfect) == 1.0


def test_a_class_without_true_clips_is_left_out_of_the_means() -> None:
    counts = np.array([[3, 1, 1], [0, 2, 0], [0, 0, 0]])
    assert metrics.classes_scored(counts).tolist() == [True, True, False]
    assert float(metrics.uar(counts)) == pytest.approx((3 / 5 + 1) / 2)
    assert float(metrics.uf1(counts)) == pytest.approx((6 / 8 + 4 / 5) / 2)


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 60)), elements=st.integers(0, 3)), st.integers(0, 2**32 - 1))
def test_agrees_with_scikit_learn(true: np.ndarray, seed: int) -> None:
    predicted = np.random.default_rng(seed).integers(0, 4, len(true))
    counts = metrics.confusion(true, predicted, 4)
    there = sorted(set(true.tolist()))
    assert float(metrics.uar(counts)) == pytest.approx(sk.recall_score(true, predicted, labels=there, average="macro"))
    assert float(metrics.uf1(counts)) == pytest.approx(sk.f1_score(true, predicted, labels=there, average="macro"))
    assert float(metrics.accuracy(counts)) == pytest.approx(sk.accuracy_score(true, predicted))


def test_confusion_counts_truth_in_rows() -> None:
    assert metrics.confusion(np.array([0, 0, 1]), np.array([1, 1, 0]), 2).tolist() == [[0, 2], [1, 0]]
    with pytest.raises(ValueError, match="true labels"):
        metrics.confusion(np.array([0]), np.array([0, 1]), 2)


def test_interval_holds_the_score_and_knows_dependence_within_subjects() -> None:
    """Ten clips that stand or fall together are worth one clip: their interval is far wider than that of ten."""
    random = np.random.default_rng(0)
    right = random.random(40) < 0.7
    alone = np.zeros((1, 400, 2, 2), np.int64)
    alone[0, :, 0, 0], alone[0, :, 0, 1] = np.repeat(right, 10), np.repeat(~right, 10)
    together = alone.reshape(1, 40, 10, 2, 2).sum(2)
    score = float(metrics.accuracy(alone.sum(1))[0])
    narrow = interval(alone, np.zeros(400, np.int64), metrics.accuracy)
    wide = interval(together, np.zeros(40, np.int64), metrics.accuracy)
    assert wide[0] < narrow[0] < score < narrow[1] < wide[1]
    assert (wide[1] - wide[0]) > 2.5 * (narrow[1] - narrow[0])
    assert wide == interval(together, np.zeros(40, np.int64), metrics.accuracy)


def test_draws_are_pooled_exactly() -> None:
    random = np.random.default_rng(0)
    per_subject, weights = random.integers(10**9, size=(5, 40, 3, 3)), random.integers(40, size=(7, 40))
    np.testing.assert_array_equal(pooled(per_subject, weights), np.einsum("ds,kstp->kdtp", weights, per_subject))
    np.testing.assert_array_equal(pooled(per_subject[0], weights), np.einsum("ds,stp->dtp", weights, per_subject[0]))
