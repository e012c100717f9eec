"""Clips whose motion is known, for the tests of features that look at whole clips."""

from __future__ import annotations

import cv2
import numpy as np

from mer_data.features import FEATURES
from mer_data.features.spec import ClipFrames


def texture(height: int = 128, width: int = 128, sigma: float = 2.0) -> np.ndarray:
    """Smooth random colours, more light and dark than colourful, float32 ``[H, W, 3]``, far from black and white."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((height, width, 1)) + 0.3 * rng.standard_normal((height, width, 3))
    return cv2.normalize(cv2.GaussianBlur(noise.astype(np.float32), (0, 0), sigma), None, 20, 235, cv2.NORM_MINMAX)


def moved(picture: np.ndarray, u: np.ndarray | float, v: np.ndarray | float) -> np.ndarray:
    """The picture after a motion (u, v) in pixels, uint8: each pixel is looked up where it came from."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    source = (x - u).astype(np.float32), (y - v).astype(np.float32)
    after = cv2.remap(picture, *source, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(np.rint(after), 0, 255).astype(np.uint8)


def bump(side: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """A Gaussian of height 1 around a centre (x, y)."""
    y, x = np.mgrid[:side, :side]
    return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * radius**2))


def clip(onset: int, apex: int, offset: int, peak: float = 1.5, side: int = 128) -> ClipFrames:
    """Frames onset..offset in which a spot rises by `peak` pixels up to the apex and falls back by the offset."""
    picture, spot = texture(side, side), bump(side, (0.6 * side, 0.4 * side), side / 8)
    numbers = tuple(range(onset, offset + 1))
    levels = np.interp(numbers, (onset, apex, offset), (0, 1, 0))
    return ClipFrames([moved(picture, 0, -level * peak * spot) for level in levels], numbers, onset, apex)


def choose(frames: ClipFrames, *numbers: int) -> ClipFrames:
    """The same clip with these frames only."""
    images = [frames.images[frames.numbers.index(number)] for number in numbers]
    return ClipFrames(images, numbers, frames.onset, frames.apex)


def computed(name: str, frames: ClipFrames) -> np.ndarray:
    """A registered feature of the clip, after a look at its form and at what its definition says of OpenCV."""
    spec = FEATURES[name]
    array = spec.compute(frames)
    assert (array.shape, array.dtype) == (spec.shape, np.dtype(spec.dtype))
    assert spec.params["opencv"] == cv2.__version__
    return array
