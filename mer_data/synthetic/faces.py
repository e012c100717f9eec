"""Drawn faces: neutral, and one for each random state."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Proportions:
    """Where a subject's features are, as shares of the face's width and height, and how bright the skin is."""

    skin: float
    brow: float
    eye: float
    mouth: float
    apart: float
    wide: float

    @staticmethod
    def draw(rng: np.random.Generator) -> Proportions:
        """A subject's own; `rng` is the subject's, and new."""
        skin = rng.uniform(0.75, 1.1)
        brow, eye, mouth = rng.normal((0.29, 0.39, 0.78), 0.008)
        return Proportions(skin, brow, eye, mouth, rng.uniform(0.18, 0.21), rng.uniform(0.13, 0.16))

    @property
    def landmarks(self) -> npt.NDArray[np.float64]:
        """Left eye, right eye, nose, left and right corner of the mouth, ``[5, 2]``."""
        sides = [(0.5 - self.apart, self.eye), (0.5 + self.apart, self.eye), (0.5, 0.62)]
        return np.array([*sides, (0.5 - self.wide, self.mouth), (0.5 + self.wide, self.mouth)])


def face(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Draw a subject's neutral face, float32 ``[H, W, 3]`` BGR, 0..255; `rng` is the subject's."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    drawn = Proportions.draw(rng)
    skin = np.array([115, 150, 190]) * drawn.skin
    brow, eye, mouth, apart, wide = drawn.brow, drawn.eye, drawn.mouth, drawn.apart, drawn.wide

    def ellipse(cx: float, cy: float, rx: float, ry: float, soft: float) -> npt.NDArray[np.float64]:
        radius = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        return np.asarray(1 / (1 + np.exp(np.clip((radius - 1) / soft, -50, 50))))

    def stroke(cx: float, cy: float, rx: float, thick: float, bend: float) -> npt.NDArray[np.float64]:
        line = cy + bend * ((x - cx) / rx) ** 2
        return np.asarray(np.exp(-(((y - line) / thick) ** 2)) * ellipse(cx, cy, rx, 1.0, 0.08))

    layers = [(ellipse(0.5, 0.5, 0.53, 0.6, 0.03), skin)]
    layers += [(ellipse(0.5, 0.58, 0.10, 0.17, 0.35) * 0.5, skin * 1.2)]  # the nose catches the light
    layers += [(ellipse(0.5 + side * 0.055, 0.65, 0.025, 0.012, 0.2), skin * 0.4) for side in (-1, 1)]
    for side in (-1, 1):
        at = 0.5 + side * apart
        layers += [(ellipse(at, eye + 0.01, 0.12, 0.07, 0.3) * 0.4, skin * 0.7)]
        layers += [(ellipse(at, eye, 0.075, 0.022, 0.12), np.full(3, 225.0))]
        layers += [(ellipse(at, eye, 0.025, 0.021, 0.12), np.full(3, 40.0))]
        layers += [(stroke(at, brow, 0.11, 0.018, 0.02) * 0.9, skin * 0.3)]
        layers += [(stroke(0.5 + side * 0.17, 0.69, 0.03, 0.05, 0.0) * 0.3, skin * 0.7)]
    layers += [(ellipse(0.5, mouth, wide, 0.035, 0.12), np.array([95, 90, 165.0]))]
    layers += [(stroke(0.5, mouth, wide * 1.05, 0.008, -0.006), np.array([50, 40, 80.0]))]

    image = np.full((height, width, 3), 60.0)
    for mask, colour in layers:
        image += mask[..., None] * (colour - image)
    return np.asarray(image + _texture(rng, width, height)[..., None], np.float32)


def _texture(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Pores and spots at two scales, the same at every crop size: flow is undefined on plain skin."""
    texture = np.zeros((352, 288), np.float32)
    for blur, grey_levels in ((1.8, 7.0), (5.0, 6.0)):
        layer = cv2.GaussianBlur(rng.standard_normal(texture.shape, np.float32), (0, 0), blur)
        texture += grey_levels * layer / layer.std()
    return np.asarray(cv2.resize(texture, (width, height), interpolation=cv2.INTER_AREA), np.float32)
