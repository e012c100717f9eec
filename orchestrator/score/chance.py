"""What guessing by the frequencies of the classes would have scored."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from orchestrator.score.metrics import Counts, Floats, uf1

_TABLES = 2000
_SEED = 20190514  # any fixed number: the same ledger must give the same share


def guessed_uf1(clips: Counts, priors: Floats) -> Floats:
    """UF1 of 2,000 tables in which every answer is guessed by the class frequencies of the training clips.

    Parameters
    ----------
    clips
        How many test clips there are, int64 ``[runs, subjects, true]``; the UF1 is averaged over runs.
    priors
        Class frequencies of the clips that a fold trains on, float64 ``[runs, subjects, classes]``, summing to 1 where
        there are clips.

    Returns
    -------
    float64 ``[tables]``; always the same for the same arguments.
    """
    return _guessed(clips.shape, clips.tobytes(), priors.tobytes())


@lru_cache(maxsize=64)  # all models of a table are compared with the same guesses
def _guessed(shape: tuple[int, ...], of_clips: bytes, of_priors: bytes) -> Floats:
    clips = np.frombuffer(of_clips, np.int64).reshape(shape)
    priors = np.frombuffer(of_priors, np.float64).reshape(shape)
    random = np.random.default_rng(_SEED)
    pooled = np.zeros((_TABLES, len(clips), clips.shape[-1], priors.shape[-1]), np.int64)
    for run, subject in zip(*np.nonzero(clips.sum(-1)), strict=True):
        pooled[:, run] += random.multinomial(clips[run, subject], priors[run, subject], (_TABLES, clips.shape[-1]))
    found: Floats = uf1(pooled).mean(1)
    return found


def share_above(score: float, guessed: Floats) -> float:
    """The share of guessed tables that reach a score, 0 to 1: 0 says that none of them does."""
    return float((guessed >= score - 1e-12).mean())  # a table that is as good reaches it, whatever the rounding
