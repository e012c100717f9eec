"""Histograms of oriented optical flow: HOOF over time, and BiWOOF of onset and apex."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.flow import TVL1_PARAMS, Maps, tvl1
from mer_data.features.maps import pair_flow, reduce
from mer_data.features.sequence import GREY, grey_volume, working_params
from mer_data.features.spec import Frames, feature
from mer_data.features.strain import STRAINS
from mer_data.features.tim import TIM, tim_bytes

# Pixels, height and width. A clip has up to 64 pairs of frames and TV-L1 costs in proportion to the area.
SIZE = (96, 96)
_ANGLE = "atan2(v, u), v downwards"
_STRAIN = STRAINS["standard-sobel"]


def orientation_votes(flow: Maps, bins: int) -> npt.NDArray[np.float64]:
    """Sum the flow's magnitude by direction over the full circle.

    Parameters
    ----------
    flow
        u and v, float32 ``[2, ...]``.
    bins
        Equal sectors of atan2(v, u), from -π up; v points downwards, so that angles grow clockwise on the screen.

    Returns
    -------
    float64 ``[bins]``, not normalised.
    """
    u, v = flow.astype(np.float64).reshape(2, -1)
    return _votes((np.arctan2(v, u) + np.pi) / (2 * np.pi), np.hypot(u, v), bins)


def _votes(turn: npt.NDArray[np.float64], magnitude: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """Sum magnitudes into equal bins of 0..1; the upper end belongs to the last bin."""
    votes = np.bincount(np.minimum((turn * bins).astype(np.intp), bins - 1), magnitude, bins)
    return np.asarray(votes, np.float64)


def hoof(flow: Maps, bins: int) -> npt.NDArray[np.float64]:
    """Compute HOOF over the full circle: directions weighted by magnitude, of sum 1, or all 0 without any motion.

    Parameters
    ----------
    flow
        u and v, float32 ``[2, ...]``.
    bins
        Equal sectors of atan2(v, u) in 0..2π, an even number; v points downwards.

    Returns
    -------
    float64 ``[bins]``.
    """
    # From -π the votes' first half is the circle's second.
    return _normalised(np.roll(orientation_votes(flow, bins), bins // 2))


def hoof_symmetric(flow: Maps, bins: int) -> npt.NDArray[np.float64]:
    """Compute HOOF as first defined: motion to the left counts as motion to the right.

    Parameters
    ----------
    flow
        u and v, float32 ``[2, ...]``.
    bins
        Equal sectors of atan2(v, |u|) in -π/2..π/2; v points downwards, so that bin 0 is upwards.

    Returns
    -------
    float64 ``[bins]``, of sum 1, or all 0 without any motion.

    References
    ----------
    Chaudhry, Ravichandran, Hager, Vidal, "Histograms of oriented optical flow and Binet-Cauchy kernels on nonlinear
    dynamical systems for the recognition of human actions", CVPR 2009.
    """
    u, v = flow.astype(np.float64).reshape(2, -1)
    return _normalised(_votes(np.arctan2(v, np.abs(u)) / np.pi + 0.5, np.hypot(u, v), bins))


def _normalised(votes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = votes.sum()
    return np.asarray(votes / total if total > 0 else votes)


def hoof_over_time(frames: Frames, pairs: int, bins: int) -> npt.NDArray[np.float32]:
    """Compute HOOF between neighbouring frames of a clip that was interpolated in time.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.
    pairs
        Pairs of neighbours; the clip is interpolated to one frame more.
    bins
        Directions, from 0 (to the right) clockwise on the screen.

    Returns
    -------
    float32 ``[bins, pairs]``; each column has sum 1, or is 0 if nothing moves.

    Raises
    ------
    ValueError
        If the frames differ in size.
    """

    def flows() -> list[Maps]:
        volume = tim_bytes(grey_volume(frames, SIZE), pairs + 1)
        return [tvl1(before, after) for before, after in pairwise(volume)]

    # The numbers of directions differ, the flow is the same.
    columns = [hoof(flow, bins) for flow in frames.once(("flow over time", pairs), flows)]
    return np.stack(columns, axis=1).astype(np.float32)


# The files published with ATN have 9 columns for 10 frames, but 64 columns for "TIM 64", all of sum 1. What the 64th
# is made of is unknown; 65 frames give 64 columns that mean the same.
for _length, _pairs in ((10, 9), (64, 64)):
    for _bins in (4, 8):
        feature(
            name=f"hoof_tim{_length}_{_bins}",
            version=1,
            frames="onset..offset",
            channels=(),
            size=(_bins, _pairs),
            dtype="float32",
            params={
                **working_params(SIZE),
                "time": [TIM, _pairs + 1],
                "algorithm": "OpenCV DualTVL1",
                "algorithm_params": TVL1_PARAMS,
                "angle": _ANGLE,
                "bins": "full circle from 0, votes by magnitude, columns to sum 1, zeros without motion",
            },
        )(partial(hoof_over_time, pairs=_pairs, bins=_bins))


_BIWOOF_PARAMS: dict[str, Any] = {
    "grey": GREY,
    "working_size": "crop",
    "algorithm": "OpenCV DualTVL1",
    "algorithm_params": TVL1_PARAMS,
    "strain": f"{_STRAIN.definition}, at working size",
    "reduction": "u, v, strain by area to 100 x 100, after the flow",
    "flow_units": "source",
    "angle": _ANGLE,
    "bins": "8 over the full circle from -pi, votes by magnitude, times the block's mean strain, not normalised",
    "blocks": "5 x 5",
    "opencv": cv2.__version__,
}


@feature(
    name="biwoof",
    version=1,
    frames="onset-apex",
    channels=(),
    size=(200,),
    dtype="float32",
    params=_BIWOOF_PARAMS,
)
def biwoof(frames: Frames) -> npt.NDArray[np.float32]:
    """Compute BiWOOF: directions of flow onset -> apex in 5×5 blocks, weighted by magnitude and by mean strain.

    Parameters
    ----------
    frames
        Onset and apex, uint8 ``[H, W, 3]`` each, BGR, of one size.

    Returns
    -------
    float32 ``[200]``: block by rows, 8 directions from -π (to the left) clockwise on the screen.

    Raises
    ------
    ValueError
        If the two frames differ in size.

    References
    ----------
    Liong, See, Wong, Phan, "Less is more: micro-expression recognition from video using apex frame", Signal
    Processing: Image Communication 62, 2018.
    """
    flow = pair_flow(frames)
    maps = reduce(np.concatenate([flow, _STRAIN.compute(flow)[None]]), (100, 100))
    blocks = maps.reshape(3, 5, 20, 5, 20).transpose(1, 3, 0, 2, 4).reshape(25, 3, 400)
    return np.concatenate([orientation_votes(block[:2], 8) * block[2].mean() for block in blocks]).astype(np.float32)
