"""What a cohort can show before anything is trained on it: how uncertain a difference of two models will be."""

from __future__ import annotations

import numpy as np

from orchestrator.score.metrics import Counts, Floats, uf1

ACCURACY = 0.7  # of both models
SHARED = 0.6  # the share of clips on which one model answers as the other does, right or wrong
BETWEEN_SUBJECTS = 0.1  # intraclass correlation: how much clips of a subject are right or wrong together
SEED_SD = 0.02  # standard deviation of UF1 between trainings of one model
_TABLES = 2000
_SEED = 20190514  # any fixed number: the same cohort must give the same error


def assumed_error(clips: Counts) -> float:
    """Standard error of the difference of two models' UF1, if other subjects with as many clips were recorded.

    Two equally good models answer made-up tables with these clips. In each table a subject has an accuracy of its own
    for each model, drawn from a beta distribution; each clip is right with that probability, and wrong answers are any
    of the other classes. On a share of the clips the second model answers as the first one.

    Parameters
    ----------
    clips
        How many there are, int64 ``[subjects, classes]``.
    """
    random = np.random.default_rng(_SEED)
    concentration = 1 / BETWEEN_SUBJECTS - 1
    subject, true = (np.repeat(index, clips.ravel()) for index in np.divmod(np.arange(clips.size), clips.shape[1]))
    shape = (_TABLES, len(clips))
    able = random.beta(ACCURACY * concentration, (1 - ACCURACY) * concentration, (2, *shape))
    first, second = (_answers(able[model][:, subject], true, clips.shape[1], random) for model in (0, 1))
    second = np.where(random.random(first.shape) < SHARED, first, second)
    return float((_uf1(true, first, clips.shape[1]) - _uf1(true, second, clips.shape[1])).std())


def seed_error(deviation: float, seeds: int) -> float:
    """Standard error of the difference of two models' mean UF1 over seeds, from the deviation of one model's."""
    return float(deviation * np.sqrt(2 / seeds))


def _answers(able: Floats, true: Counts, classes: int, random: np.random.Generator) -> Counts:
    """Class index, int64 ``[tables, clips]``."""
    wrong = (true + random.integers(1, classes, able.shape)) % classes
    return np.where(random.random(able.shape) < able, true, wrong)


def _uf1(true: Counts, answers: Counts, classes: int) -> Floats:
    """UF1 of each table, float64 ``[tables]``."""
    cells = true * classes + answers
    counts = np.stack([(cells == cell).sum(1) for cell in range(classes * classes)], axis=1)
    return uf1(counts.reshape(-1, classes, classes))
