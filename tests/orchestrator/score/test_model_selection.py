"""Selection rules: what they may see, and what choosing on the test subject is worth."""

import numpy as np
import pytest

from orchestrator.score.metrics import confusion, uar, uf1
from orchestrator.score.model_selection import RULES, Predictions

TRUE = np.array([0, 0, 1, 1])
FOLD = np.array([0, 0, 1, 1])
#                 epoch 1       epoch 2       epoch 3
PREDICTED = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]])
SMALL = Predictions(PREDICTED, TRUE, FOLD, 2)


def test_last_takes_the_last_kept_epoch() -> None:
    assert RULES["last"].choose(SMALL).tolist() == [0, 1, 1, 0]


def test_oracle_subject_takes_each_folds_best_epoch() -> None:
    assert RULES["oracle-subject"].choose(SMALL).tolist() == [0, 0, 1, 1]


def test_oracle_epoch_takes_one_epoch_for_all_folds() -> None:
    assert RULES["oracle-epoch"].choose(SMALL).tolist() == [0, 1, 1, 0]


def test_ties_go_to_the_later_epoch() -> None:
    tied = Predictions(np.array([[0, 1], [1, 0]]), np.array([0, 0]), np.array([0, 0]), 2)
    assert RULES["oracle-subject"].choose(tied).tolist() == [1, 0]
    assert RULES["oracle-epoch"].choose(tied).tolist() == [1, 0]


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule.oracle])
def test_honest_rules_do_not_look_at_the_truth(name: str) -> None:
    other = Predictions(PREDICTED, 1 - TRUE, FOLD, 2)
    assert RULES[name].choose(SMALL).tolist() == RULES[name].choose(other).tolist()


def test_choosing_on_the_test_subject_lifts_guessing_to_published_scores() -> None:
    """442 clips of 68 subjects, labels drawn at random, the best of 100 draws per subject: UF1 about 0.7."""
    random = np.random.default_rng(0)
    true = random.choice(3, 442, p=[0.57, 0.25, 0.18])
    fold = np.sort(np.concatenate([np.arange(68), random.integers(0, 68, 442 - 68)]))
    guesses = Predictions(random.choice(3, (100, 442), p=[0.57, 0.25, 0.18]), true, fold, 3)

    def score(rule: str) -> tuple[float, float]:
        counts = confusion(true, RULES[rule].choose(guesses), 3)
        return float(uf1(counts)), float(uar(counts))

    assert max(score("last")) < 0.42
    assert min(score("oracle-subject")) > 0.65
    assert score("last")[0] < score("oracle-epoch")[0] < score("oracle-subject")[0]
