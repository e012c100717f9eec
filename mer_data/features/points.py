"""The two inputs of ATN: motion of 64 points of the face around the apex, and the apex in grey."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.flow import TVL1_PARAMS, grey, tvl1
from mer_data.features.maps import reduce
from mer_data.features.sequence import Bytes, apex_of, grey_volume, working_params
from mer_data.features.spec import ClipFrames, Frames, feature

SIZE = (96, 96)  # pixels; 12 x 12 for each of the 8 x 8 points
STEPS = 64
APEX_STEP = 32


@feature(
    name="atn_points",
    version=1,
    frames="onset..offset",
    channels=(),
    size=(STEPS, 128),
    dtype="float32",
    params={
        **working_params(SIZE),
        "algorithm": "OpenCV DualTVL1",
        "algorithm_params": TVL1_PARAMS,
        "points": "8 x 8 cells by rows, mean vector of the flow",
        "values": "angle atan2(v, u) in radians, v downwards; magnitude in pixels of the working size; interleaved",
        "time": "row 32 is the apex, row r is flow from the previous frame on disk to frame apex - 32 + r, else 0",
    },
)
def atn_points(frames: ClipFrames) -> npt.NDArray[np.float32]:
    """Compute the motion of 8×8 cells between neighbouring frames, placed in time around the apex.

    Vectors are averaged, then turned into angle and magnitude: a mean of angles is wrong at ±π.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.

    Returns
    -------
    float32 ``[64, 128]``: row r belongs to frame apex - 32 + r and holds the motion from the frame before to it; in
    columns 2p and 2p + 1 are angle (radians, -π to π, clockwise on the screen from the right) and magnitude (pixels
    at a size of 96) of cell p, counted by rows. Rows of the onset, of frames that are not on disk, and outside onset
    to offset are 0; frames further than the window reaches are left out.

    Raises
    ------
    ValueError
        If the frames differ in size.
    BadInput
        If the clip has no apex.

    References
    ----------
    Peng, Wang, Bi, Shi, Zhou, Chen, "A novel apex-time network for cross-dataset micro-expression recognition",
    ACII 2019. Cells and flow are not published; the grid follows from the number of values.
    """
    start = apex_of(frames) - APEX_STEP
    volume = grey_volume(frames, SIZE)
    steps = np.zeros((STEPS, 64, 2), np.float32)
    for before, after, number in zip(volume, volume[1:], frames.numbers[1:], strict=False):
        if start <= number < start + STEPS:
            u, v = reduce(tvl1(before, after), (8, 8)).reshape(2, 64)
            steps[number - start] = np.stack([np.arctan2(v, u), np.hypot(u, v)], axis=1)
    return steps.reshape(STEPS, 128)


@feature(
    name="apex_gray_224",
    version=1,
    frames="apex",
    channels=("gray",),
    size=(224, 224),
    dtype="uint8",
    params={"grey": "BGR luminance, 8 bit, before resizing", "resize": "bilinear", "opencv": cv2.__version__},
)
def apex_gray_224(frames: Frames) -> Bytes:
    """Take the apex in grey at 224×224, resized bilinearly as ATN does.

    Parameters
    ----------
    frames
        The apex, uint8 ``[H, W, 3]``, BGR.

    Returns
    -------
    uint8 ``[1, 224, 224]``.
    """
    (apex,) = frames
    return np.asarray(cv2.resize(grey(apex), (224, 224), interpolation=cv2.INTER_LINEAR), np.uint8)[None]
