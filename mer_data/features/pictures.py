"""Flow as pictures with three colours, for models whose authors trained on pictures and did not publish their coding.

The coding is this project's own: red is u, green v, blue the strain, each stretched to 0..255 for each clip. It is
what :mod:`~mer_data.features.maps` calls ``uvs``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.faces.landmarks import DETECTOR, FIXED_POINTS, Points, find_points
from mer_data.features.maps import flow_maps
from mer_data.features.spec import ClipFrames, Frames, feature

_COLOURS = ("r", "g", "b")

# From the eyes' height, in distances from eyes to mouth: the strip with brows and eyes, and that with the mouth.
_STRIPS = ((-0.6, 0.25), (0.65, 1.45))


def puzzle_strips(points: Points, height: int) -> tuple[slice, slice]:
    """Choose the rows with brows and eyes and those with the mouth, from five points (x, y) in pixels.

    Raises
    ------
    ValueError
        If the mouth is not below the eyes, or a strip lies outside the picture.
    """
    eyes, mouth = points[:2, 1].mean(), points[3:, 1].mean()
    upper, lower = (
        slice(*(int(np.clip(round(eyes + share * (mouth - eyes)), 0, height)) for share in strip)) for strip in _STRIPS
    )
    if mouth <= eyes or upper.start >= upper.stop or lower.start >= lower.stop:
        raise ValueError(f"the landmarks put the eyes at row {eyes:.0f} and the mouth at {mouth:.0f} of {height}")
    return upper, lower


def puzzle(image: npt.NDArray[np.uint8], strips: tuple[slice, slice]) -> npt.NDArray[np.uint8]:
    """Put two strips of an image over each other, each enlarged to half the height and the full width.

    Returns
    -------
    uint8 of the image's shape.
    """
    height, width = image.shape[:2]
    heights = (height // 2, height - height // 2)
    halves = [
        cv2.resize(image[strip], (width, half), interpolation=cv2.INTER_LINEAR)
        for strip, half in zip(strips, heights, strict=True)
    ]
    return np.asarray(np.concatenate(halves), np.uint8)


_MAPS = {size: flow_maps(f"flow_uvs_{size}") for size in (28, 60)}

for _size, _maps in _MAPS.items():
    feature(
        name=f"flow_picture_{_size}",
        version=1,
        frames=_maps.frames,
        channels=_COLOURS,
        size=_maps.size,
        dtype=_maps.dtype,
        params={"coding": "r, g, b are u, v, strain", "maps": _maps.describe()},
    )(_maps.compute)


@feature(
    name="flow_puzzle_28",
    version=1,
    frames="onset-apex",
    channels=_COLOURS,
    size=(28, 28),
    dtype="uint8",
    params={
        "coding": "r, g, b are u, v, strain",
        "maps": _MAPS[28].describe(),
        "points": "the clip's landmarks, else detected on the onset, else fixed",
        "detector": DETECTOR,
        "strips": _STRIPS,
        "puzzle": "full width, half height each, bilinear, before the flow",
    },
    uses_landmarks=True,
)
def flow_puzzle_28(frames: Frames) -> npt.NDArray[Any]:
    """Compute the second input of Dual-ATME: the flow between two puzzles of brows and eyes over the mouth.

    The strips are found on the onset frame and cut from both frames. Where exactly they lie was not published; here
    brows and eyes reach from 0.6 above the eyes to 0.25 below them, and the mouth's strip from 0.65 to 1.45 below the
    eyes, in distances from eyes to mouth.

    Parameters
    ----------
    frames
        Onset and apex, uint8 ``[H, W, 3]`` each, BGR, of one size.

    Returns
    -------
    uint8 ``[3, 28, 28]``.

    Raises
    ------
    ValueError
        If the two frames differ in size, or the landmarks leave no strip.

    References
    ----------
    Zhou, Huang, Li, Wang, "Dual-ATME: dual-branch attention network for micro-expression recognition", Entropy 25(3),
    2023.
    """
    onset, apex = frames
    height, width = onset.shape[:2]
    points = frames.landmarks if frames.landmarks is not None else find_points(onset)
    if points is None:
        points = FIXED_POINTS * np.array([width, height], np.float32)
    strips = puzzle_strips(points, height)
    return _MAPS[28].compute(ClipFrames([puzzle(onset, strips), puzzle(apex, strips)]))
