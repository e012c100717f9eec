"""Planted motion: what moves for an emotion, how it rises and falls, and the field that it adds up to.

At the apex, ``apex(x) = onset(x - m(x))`` with a smooth motion m: the actions of the clip's emotion, a random
distractor, and a drift of the whole head. Fields are float32 ``[2, H, W]``, x and y in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Bumps = Sequence[Sequence[float]]

# What moves in an action: centre x, y and radius x, y as shares of the crop's width and height, motion x, y.
_ACTIONS = {
    "brows down": ((0.32, 0.29, 0.12, 0.07, 0.5, 0.9), (0.68, 0.29, 0.12, 0.07, -0.5, 0.9)),
    "brows up": ((0.31, 0.28, 0.14, 0.08, 0.0, -1.0), (0.69, 0.28, 0.14, 0.08, 0.0, -1.0)),
    "jaw down": ((0.50, 0.88, 0.18, 0.08, 0.0, 0.9),),
    "smile": ((0.36, 0.77, 0.09, 0.07, -0.6, -0.8), (0.64, 0.77, 0.09, 0.07, 0.6, -0.8)),
    "lips down": ((0.36, 0.79, 0.09, 0.07, 0.0, 0.8), (0.64, 0.79, 0.09, 0.07, 0.0, 0.8)),
    "nose up": ((0.50, 0.60, 0.11, 0.07, 0.0, -0.7),),
}
# Strength of each action, by canonical emotion. All that is negative lowers the brows, and the lips or lifts the nose.
_SMILE = {"smile": 1.0}
EMOTIONS: dict[str, dict[str, float]] = {
    "anger": {"brows down": 1.0, "lips down": 0.3},
    "contempt": {"brows down": 0.6, "nose up": 0.8},
    "disgust": {"brows down": 1.0, "nose up": 0.6},
    "fear": {"brows down": 0.7, "brows up": 0.4, "lips down": 0.4},
    "happiness": _SMILE,
    "helpless": {"brows down": 0.5, "lips down": 0.8},
    "negative": {"brows down": 1.0, "lips down": 0.4},
    "others": {},  # drawn for each clip, as for every word that is not here
    "pain": {"brows down": 1.0, "nose up": 0.4, "lips down": 0.3},
    "positive": _SMILE,
    "repression": {"brows down": 0.8, "lips down": 0.6},
    "sadness": {"lips down": 1.0, "brows down": 0.5},
    "surprise": {"brows up": 1.0, "jaw down": 0.5},
    "tense": {"brows down": 0.8, "lips down": 0.3, "nose up": 0.3},
}

# Nuisance, set so that a linear classifier is clearly better than the majority and clearly not perfect.
_HIDDEN = 0.45  # share of clips whose own actions are weak beside a foreign one
_DISTRACTOR = 0.8  # greatest distractor, in pixels at a width of 128
_DRIFT = 0.5
_BRIGHTNESS = 0.7  # standard deviation at the apex, in grey levels: TV-L1 takes brightness for motion
_LEFT_AT_OFFSET = 0.2  # share of the motion that is still there in the last frame


def plan_bumps(rng: np.random.Generator, emotion: str, strength: float) -> list[list[float]]:
    """Draw the motion of one clip at its apex: the emotion's actions and a distractor.

    Parameters
    ----------
    emotion
        A key of `EMOTIONS`; any other word moves like ``others``, at random.
    strength
        Of the subject; about 1.

    Returns
    -------
    Gaussians: centre x, y and radius x, y as shares of the crop, motion x, y in pixels at a width of 128.
    """
    actions = EMOTIONS.get(emotion, {})
    foreign = str(rng.choice(sorted(_ACTIONS)))
    if not actions:
        actions = {foreign: 1.0, str(rng.choice(sorted(_ACTIONS))): 0.6}
    elif rng.random() < _HIDDEN:
        actions = {action: 0.3 * weight for action, weight in actions.items()} | {foreign: 1.0}
    peak = float(np.clip(strength * rng.uniform(0.6, 1.8), 0.5, 2.0))
    bumps = []
    for action, weight in actions.items():
        for x, y, radius_x, radius_y, dx, dy in _ACTIONS[action]:
            # The two sides of a face never move alike.
            size = peak * weight * rng.uniform(0.6, 1.2)
            place = rng.normal((x, y), 0.015)
            bumps.append(_rounded([*place, radius_x, radius_y, size * dx, size * dy]))
    place, radius = rng.uniform(0.15, 0.85, 2), rng.uniform(0.06, 0.12, 2)
    bumps.append(_rounded([*place, *radius, *rng.uniform(-_DISTRACTOR, _DISTRACTOR, 2)]))
    return bumps


def plan_drift(rng: np.random.Generator) -> list[float]:
    """Draw the motion x, y of the whole head at the apex, in pixels at a width of 128."""
    return _rounded(rng.uniform(-_DRIFT, _DRIFT, 2))


def plan_brightness(rng: np.random.Generator) -> float:
    """Draw the grey levels that are added at the apex."""
    return round(rng.normal(0, _BRIGHTNESS), 3)


def level(onset: int, apex: int, offset: int, number: int) -> float:
    """How much of the motion there is in a frame: 0 up to the onset, 1 at the apex, a rest from the offset on."""
    number = min(max(number, onset), offset)
    if number <= apex:
        return float(np.sin(np.pi / 2 * (number - onset) / (apex - onset)) ** 2)
    fallen = np.sin(np.pi / 2 * (number - apex) / (offset - apex)) ** 2
    return float(1 - (1 - _LEFT_AT_OFFSET) * fallen)


def grid(width: int, height: int) -> Field:
    """Pixel positions."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def bumps_at(bumps: Bumps, at: Field) -> Field:
    """Compute the bumps' motion at the apex, at positions `at`: one for each pixel of the crop, in or beside it."""
    return bumps_in(bumps, at, at.shape[2], at.shape[1])


def bumps_in(bumps: Bumps, at: Field, width: int, height: int) -> Field:
    """The same in a crop of a width and height, at whatever positions ``[2, ...]``."""
    x, y = at[0] / width, at[1] / height
    motion = np.zeros_like(at)
    for centre_x, centre_y, radius_x, radius_y, dx, dy in bumps:
        bump = np.exp(-(((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2) / 2)
        motion += np.stack([dx * bump, dy * bump])
    return motion * np.float32(width / 128)


def drift_of(drift: Sequence[float], width: int) -> Field:
    """Compute the head's motion at the apex, ``[2, 1, 1]``."""
    return np.array(drift, np.float32)[:, None, None] * np.float32(width / 128)


def flow(bumps: Bumps, drift: Sequence[float], width: int, height: int) -> Field:
    """Compute the true flow w from onset to apex, ``onset(x) = apex(x + w(x))``.

    Frames are drawn by looking up where each pixel of the apex came from, so w(x) = m(x + w(x)). Fixed-point
    iteration finds it, since the motion is smooth.
    """
    start, shift = grid(width, height), drift_of(drift, width)
    found = np.zeros_like(start)
    for _ in range(30):
        found = bumps_at(bumps, start + found) + shift
    return found


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
