"""The two baselines every table needs: the most frequent class, and guessing."""

from __future__ import annotations

import numpy as np

from mer_models.spec import FoldArrays, ModelSpec, Outcome, Recipe, TrainingFailed, register


def _fit_dummy(strategy: str, arrays: FoldArrays, recipe: Recipe, seed: int) -> Outcome:
    nothing = np.zeros((len(arrays.labels), 1)), np.zeros((arrays.test_clips, 1))
    if not len(arrays.labels):
        raise TrainingFailed("no training clips")
    # Here, because every worker imports this module, and few need what takes more than a second to import.
    from sklearn.dummy import DummyClassifier

    random = np.random.RandomState(seed % 2**32)
    classifier = DummyClassifier(strategy=strategy, random_state=random).fit(nothing[0], arrays.labels)
    epochs = recipe.kept_epochs()
    logits = np.zeros((len(epochs), arrays.test_clips, arrays.classes), np.float32)
    for index in range(len(epochs)):
        logits[index][:, classifier.classes_] = classifier.predict_proba(nothing[1])
    return Outcome(tuple(epochs), logits)


def fit_majority(spec: ModelSpec, arrays: FoldArrays, recipe: Recipe, seed: int, device: str) -> Outcome:
    """Answer every test clip with the most frequent class of the training clips."""
    return _fit_dummy("most_frequent", arrays, recipe, seed)


def fit_chance(spec: ModelSpec, arrays: FoldArrays, recipe: Recipe, seed: int, device: str) -> Outcome:
    """Draw every answer at random from the class frequencies of the training clips, anew in each epoch."""
    return _fit_dummy("stratified", arrays, recipe, seed)


register(
    ModelSpec(
        name="majority",
        paper="No paper: the most frequent class of the training clips",
        inputs=(),
        recipe=Recipe(epochs=1),
        fit=fit_majority,
        gpu_share=0.0,
    )
)
register(
    ModelSpec(
        name="chance",
        paper="No paper: guesses drawn from the class frequencies of the training clips",
        inputs=(),
        # A hundred draws, so that the oracle columns show what choosing the best of a hundred epochs on the test
        # subject is worth without any learning.
        recipe=Recipe(epochs=100),
        fit=fit_chance,
        gpu_share=0.0,
    )
)
