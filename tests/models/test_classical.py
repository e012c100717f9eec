"""Descriptors and a linear SVM: what a fold may and may not know, and answers for every number of classes."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_models.spec import FoldArrays, ModelSpec, Recipe, models

SPECS = [models()[name] for name in ("lbp_top_svm", "hoof_svm")]
pytestmark = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def fold(spec: ModelSpec, labels: np.ndarray, test_labels: np.ndarray, classes: int = 3) -> FoldArrays:
    """Numbers around the centre of the clip's class, in columns of sum 1."""
    random = np.random.default_rng(0)
    centres = random.random((classes, *spec.inputs[0].shape))

    def draw(of: np.ndarray) -> tuple[np.ndarray, ...]:
        x = centres[of] + random.random((len(of), *spec.inputs[0].shape))
        return ((x / x.sum(axis=1, keepdims=True)).astype(np.float32),)

    return FoldArrays(draw(labels), labels, draw(test_labels), len(test_labels), classes)


def logits(spec: ModelSpec, arrays: FoldArrays) -> np.ndarray:
    return spec.fit(spec, arrays, spec.recipe, 0, "cpu").logits[-1]


LABELS = np.repeat([0, 1, 2], [40, 15, 8])
TEST = np.array([2, 0, 1, 1, 0, 2])


def test_columns_are_the_classes_in_their_order(spec: ModelSpec) -> None:
    np.testing.assert_array_equal(logits(spec, fold(spec, LABELS, TEST)).argmax(1), TEST)
    np.testing.assert_array_equal(logits(spec, fold(spec, LABELS[::-1].copy(), TEST)).argmax(1), TEST)


def test_it_is_the_pipeline_it_says_it_is(spec: ModelSpec) -> None:
    arrays = fold(spec, LABELS, TEST)
    train, test = (rows[0].reshape(len(rows[0]), -1).astype(float) for rows in (arrays.train, arrays.test))
    pipeline = make_pipeline(StandardScaler(), SVC(kernel="linear", C=1.0, class_weight="balanced"))
    expected = pipeline.fit(train, LABELS).decision_function(test)
    np.testing.assert_allclose(logits(spec, arrays), expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("present", [[0, 1], [0, 2], [1, 2]])
def test_a_class_that_training_lacks_comes_last(spec: ModelSpec, present: list[int]) -> None:
    test = np.array(present * 3)
    scores = logits(spec, fold(spec, np.array(present * 10), test))
    np.testing.assert_array_equal(scores.argmax(1), test)
    assert (scores.argmin(1) == ({0, 1, 2} - {*present}).pop()).all()


@pytest.mark.parametrize("only", [0, 2])
def test_one_class_in_training_is_the_answer(spec: ModelSpec, only: int) -> None:
    scores = logits(spec, fold(spec, np.full(9, only), TEST))
    assert (scores.argmax(1) == only).all()


def test_other_test_clips_do_not_change_a_score(spec: ModelSpec) -> None:
    arrays = fold(spec, LABELS, TEST)
    changed = arrays.test[0].copy()
    changed[1:] = 100 * changed[1:][::-1]
    other = FoldArrays(arrays.train, arrays.labels, (changed,), len(TEST), 3)
    alone = FoldArrays(arrays.train, arrays.labels, (changed[:1],), 1, 3)
    first = logits(spec, arrays)[0]
    for same in (other, alone):
        np.testing.assert_allclose(logits(spec, same)[0], first, rtol=1e-5, atol=1e-6)


def test_numbers_are_standardised_by_the_training_clips(spec: ModelSpec) -> None:
    """Another unit and another zero for each number change nothing."""
    arrays = fold(spec, LABELS, TEST)
    random = np.random.default_rng(1)
    unit, zero = (random.uniform(1, 9, spec.inputs[0].shape) for _ in range(2))
    other = FoldArrays((arrays.train[0] * unit + zero,), LABELS, (arrays.test[0] * unit + zero,), len(TEST), 3)
    np.testing.assert_allclose(logits(spec, other), logits(spec, arrays), rtol=1e-2, atol=5e-3)


def test_rare_classes_weigh_as_much_as_frequent_ones(spec: ModelSpec) -> None:
    """Without any difference between the classes, the most frequent one is not everybody's answer."""
    random = np.random.default_rng(2)
    labels = np.repeat([0, 1], [40, 10])
    train = np.repeat(random.random((1, *spec.inputs[0].shape)), 50, axis=0)
    train.reshape(50, -1)[:, 0] = random.permutation(50) + 15 * labels  # overlapping, so that errors must be weighed
    mean = train[labels == 1].mean(axis=0, keepdims=True)
    scores = logits(spec, FoldArrays((train,), labels, (mean,), 1, 3))
    assert scores.argmax() == 1


def test_numbers_that_never_vary_are_no_problem(spec: ModelSpec) -> None:
    arrays = fold(spec, LABELS, TEST)
    arrays.train[0].reshape(len(LABELS), -1)[:, -1] = 0
    assert np.isfinite(logits(spec, arrays)).all()


def test_every_kept_epoch_has_the_same_answer(spec: ModelSpec) -> None:
    assert spec.recipe == Recipe(epochs=1)
    outcome = spec.fit(spec, fold(spec, LABELS, TEST), Recipe(epochs=3, keep_every=2), 5, "cpu")
    assert outcome.epochs == (2, 3)
    assert outcome.logits.dtype == np.float32
    assert outcome.logits.shape == (2, len(TEST), 3)
    np.testing.assert_array_equal(outcome.logits[0], outcome.logits[1])
