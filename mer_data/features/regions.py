"""HTNet's input: four windows of 14×14 around eyes and mouth corners, cut from the 28×28 maps and put together.

In the published code a landmark's x counts rows and its y columns, so every window is cut at the place mirrored at the
main diagonal. `htnet_mosaic_28` does that; `htnet_corners_28` cuts each window around its landmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.faces.landmarks import DETECTOR, FIXED_POINTS, Points, find_points
from mer_data.features.maps import flow_maps
from mer_data.features.spec import Frames, feature

_SIDE = 28
_HALF = 7
_CORNERS = (0, 1, 3, 4)  # both eyes, both corners of the mouth; the nose is not used
_MAPS = flow_maps("flow_uvs_28")


def htnet_mosaic_from_maps(maps: npt.NDArray[Any], landmarks: Points | None, *, swapped: bool) -> npt.NDArray[Any]:
    """Cut and put together the four windows of a clip's maps.

    Parameters
    ----------
    maps
        ``[C, 28, 28]``, of any dtype.
    landmarks
        Five points (x, y) in pixels of the maps, ``[5, 2]``: left eye, right eye, nose, left and right corner of the
        mouth; None for the points that the published code falls back to. Coordinates are limited to 7..21 and cut to
        whole pixels.
    swapped
        Whether x counts rows and y columns, as in the published code.

    Returns
    -------
    ``[C, 28, 28]``: left eye, right eye over left and right corner of the mouth, 14×14 each.

    References
    ----------
    Wang, Zhang, Luo, Sankaranarayana, "HTNet for micro-expression recognition", Neurocomputing 602, 2024.
    """
    points = FIXED_POINTS * _SIDE if landmarks is None else landmarks
    centres = np.clip(points, _HALF, _SIDE - _HALF).astype(int)
    windows = []
    for x, y in centres[list(_CORNERS)]:
        row, column = (x, y) if swapped else (y, x)
        windows.append(maps[:, row - _HALF : row + _HALF, column - _HALF : column + _HALF])
    upper_left, upper_right, lower_left, lower_right = windows
    upper = np.concatenate([upper_left, upper_right], axis=2)
    return np.concatenate([upper, np.concatenate([lower_left, lower_right], axis=2)], axis=1)


def htnet_points(frames: Frames) -> Points | None:
    """Give the five points for a clip, in pixels of its 28×28 maps: its own landmarks, else what a detector finds.

    The detector sees what it sees in the published code: the apex frame, reduced to 28×28 by an area filter, its blue
    and red channels exchanged. On so small a face it often finds nothing.

    Returns
    -------
    float32 ``[5, 2]``, or None if there are no landmarks and none were found.
    """
    apex = frames.images[1]
    if frames.landmarks is not None:
        height, width = apex.shape[:2]
        return np.asarray(frames.landmarks * (_SIDE / np.array([width, height])), np.float32)
    small = cv2.resize(apex, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return find_points(np.ascontiguousarray(small[..., ::-1]))


def _derive(arrays: Mapping[str, npt.NDArray[Any]], swapped: bool) -> npt.NDArray[Any]:
    """The same from published maps, with the points found on a published 28×28 apex picture where there is one."""
    apex = arrays.get("apex_28")  # [3, 28, 28], BGR
    points = None if apex is None else find_points(np.ascontiguousarray(apex[::-1].transpose(1, 2, 0)))
    return htnet_mosaic_from_maps(arrays["flow_uvs_28"], points, swapped=swapped)


def _points(frames: Frames) -> Points | None:
    """The points, once for both features: where they have to be detected, that takes longer than the rest."""
    return frames.once("points of the 28x28 apex", lambda: htnet_points(frames))


def _compute(frames: Frames, swapped: bool) -> npt.NDArray[Any]:
    return htnet_mosaic_from_maps(_MAPS.compute(frames), _points(frames), swapped=swapped)


for _name, _swapped in (("htnet_mosaic_28", True), ("htnet_corners_28", False)):
    feature(
        name=_name,
        version=1,
        frames=_MAPS.frames,
        channels=_MAPS.channels,
        size=_MAPS.size,
        dtype=_MAPS.dtype,
        params={
            "maps": _MAPS.describe(),
            "points": "the clip's landmarks, else detected on the 28x28 apex, else fixed",
            "detector": DETECTOR,
            "windows": "14x14, centres limited to 7..21 and cut to whole pixels",
            "axes": "x counts rows, y columns" if _swapped else "x counts columns, y rows",
        },
        uses_landmarks=True,
        derive_from=("flow_uvs_28", "apex_28"),
        derive=partial(_derive, swapped=_swapped),
    )(partial(_compute, swapped=_swapped))
