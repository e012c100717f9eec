"""A pair of frames given by formulas, and a few numbers of every motion map made of it.

``python tests/data/golden_flow.py`` writes ``golden_flow.json`` anew: after a change that is meant, and with the
feature's version raised.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mer_data.features import FEATURES
from mer_data.features.maps import NAMES
from mer_data.features.spec import ClipFrames

PATH = Path(__file__).with_suffix(".json")
FEATURES_HERE = (*NAMES, "htnet_mosaic_28", "htnet_corners_28", "flow_picture_28", "flow_picture_60", "flow_puzzle_28")
SHAPE = (96, 80)
LANDMARKS = np.array([(25, 36), (56, 34), (40, 55), (29, 75), (52, 76)], np.float32)


def motion(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A shift of half a pixel to the right, and 1.5 pixels upwards around (30, 40)."""
    return np.full_like(x, 0.5), -1.5 * np.exp(-((x - 30) ** 2 + (y - 40) ** 2) / 200)


def _picture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    waves = np.random.default_rng(7).uniform(-0.9, 0.9, (24, 2))
    light = sum(np.sin(a * x + b * y + index) for index, (a, b) in enumerate(waves)) / 24**0.5
    return np.rint(np.clip(np.stack([110 + 30 * light, 125 + 40 * light, 140 + 45 * light], 2), 0, 255)).astype(
        np.uint8
    )


def frames() -> ClipFrames:
    """Onset and apex."""
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]].astype(np.float64)
    u, v = motion(x, y)
    return ClipFrames([_picture(x, y), _picture(x - u, y - v)], (1, 2), 1, 2, LANDMARKS)


def fingerprint(name: str) -> dict[str, Any]:
    """Key numbers of a feature of the pair: each channel's mean, and values on a grid of 4×4 of each channel."""
    maps = FEATURES[name].compute(frames()).astype(np.float64)
    rows, columns = (np.arange(1, 8, 2) * size // 8 for size in maps.shape[1:])
    return {
        "version": FEATURES[name].version,
        "mean": maps.mean(axis=(1, 2)).round(4).tolist(),
        "values": maps[:, rows][:, :, columns].round(4).reshape(len(maps), -1).tolist(),
    }


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(fingerprint(name))}" for name in FEATURES_HERE]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
