"""Magnified motion without learned weights: Eulerian (brightness) and Lagrangian (displacement)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.flow import Maps, grey, tvl1
from mer_data.features.sequence import RESIZE, Bytes, apex_of, resized, same_size
from mer_data.features.spec import ClipFrames, feature

SIDE = 224
FRAMES = 11
FACTORS = tuple(float(factor) for factor in np.linspace(2, 12, 9))
# Octaves of the Laplacian pyramid that are amplified, the finest being 0: that one is mostly noise, and what is
# coarser than the last is a change of the light.
_FINEST, _COARSEST = 1, 4


def magnify_eulerian(onset: Bytes, frame: Bytes, factor: float) -> Bytes:
    """Amplify the change of luminance since the onset, in a band of spatial frequencies.

    Adding a change of brightness moves an edge only as long as the magnified motion is short against the pattern:
    `factor` times the motion should stay below an eighth of its wavelength. On random texture (blurred by 3 pixels)
    motion comes out within a fifth of `factor` times the motion up to one pixel, and at half of it at 4 pixels: then
    edges get bright and dark borders instead of moving.

    Parameters
    ----------
    onset, frame
        uint8 ``[H, W, 3]`` each, BGR, of one size.
    factor
        Of the motion from `onset` to `frame`: 1 gives the frame, 2 twice the motion.

    Returns
    -------
    uint8 ``[H, W, 3]``, BGR. Colours change in luminance only.

    References
    ----------
    Wu, Rubinstein, Shih, Guttag, Durand, Freeman, "Eulerian video magnification for revealing subtle changes in the
    world", SIGGRAPH 2012.
    """
    return _brightened(frame, eulerian_change(onset, frame), factor)


def eulerian_change(onset: Bytes, frame: Bytes) -> npt.NDArray[np.float32]:
    """Band-pass the difference of luminance, float32 ``[H, W]`` in grey levels, that a factor multiplies."""
    # In float: whole grey levels, multiplied by 12, would show as steps.
    change = _luminance(frame) - _luminance(onset)
    return _blurred(change, _FINEST) - _blurred(change, _COARSEST + 1)


def _luminance(frame: Bytes) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(frame.astype(np.float32), cv2.COLOR_BGR2GRAY), np.float32)


def _blurred(image: npt.NDArray[np.float32], levels: int) -> npt.NDArray[np.float32]:
    """Go down a Gaussian pyramid and up again.

    The difference of two of these is the sum of the Laplacian levels between them.
    """
    sizes = []
    for _ in range(levels):
        sizes.append(image.shape[::-1])
        image = np.asarray(cv2.pyrDown(image), np.float32)
    for size in reversed(sizes):
        image = np.asarray(cv2.pyrUp(image, dstsize=size), np.float32)
    return image


def _brightened(frame: Bytes, change: npt.NDArray[np.float32], factor: float) -> Bytes:
    bright = frame + np.float32(factor - 1) * change[..., None]
    return np.clip(np.rint(bright), 0, 255).astype(np.uint8)


def magnify_lagrangian(onset: Bytes, frame: Bytes, factor: float) -> Bytes:
    """Move every pixel of a frame further along its TV-L1 flow since the onset.

    It stays sharp for motions of many pixels (on random texture within a tenth of a pixel of `factor` times the motion,
    up to six pixels), but takes noise in the flow for motion, inherits that TV-L1 is off by up to a fifth for motions
    under a quarter of a pixel, and folds the picture where `factor` times the flow changes by more than a pixel per
    pixel.

    Parameters
    ----------
    onset, frame
        uint8 ``[H, W, 3]`` each, BGR, of one size.
    factor
        Of the motion from `onset` to `frame`: 1 gives the frame, 2 twice the motion.

    Returns
    -------
    uint8 ``[H, W, 3]``, BGR.

    Raises
    ------
    ValueError
        If the images differ in size.
    BadInput
        If the installed OpenCV has no TV-L1.
    """
    return _moved(frame, tvl1(grey(onset), grey(frame)), factor)


def _moved(frame: Bytes, flow: Maps, factor: float) -> Bytes:
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    # The flow is looked up where a pixel arrives, not where it left: exact for a shift, and as good as the exact
    # inverse for a face (which a noisy flow may not have).
    u, v = flow * np.float32(factor - 1)
    moved = cv2.remap(frame, x - u, y - v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)


def around_apex(frames: ClipFrames, count: int) -> list[Bytes]:
    """Choose `count` evenly spaced frames centred on the apex.

    They reach as far on both sides as the shorter side allows, but at least one frame number apart; a number before
    the onset or after the offset becomes the onset or the offset, and one that is not on disk its nearest neighbour.

    Raises
    ------
    BadInput
        If the clip has no apex.
    """
    apex = apex_of(frames)
    reach = max(min(apex - frames.numbers[0], frames.numbers[-1] - apex), count // 2)
    on_disk = np.asarray(frames.numbers)
    wanted = np.rint(apex + (np.arange(count) - (count - 1) / 2) * (2 * reach / max(count - 1, 1)))
    return [frames.images[int(np.abs(on_disk - number).argmin())] for number in wanted]


def magnified_frames(
    frames: ClipFrames, count: int, factors: Sequence[float], method: Literal["eulerian", "lagrangian"] = "eulerian"
) -> Bytes:
    """Magnify the frames around the apex by several factors, against the onset.

    Frames are brought to 224×224 first, so that the magnifier's scales mean the same for every recording.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.
    count
        Frames J, chosen by :func:`around_apex`.
    factors
        Of the motion, I of them; 1 changes nothing.
    method
        As :func:`magnify_eulerian` (quick; for short motions) or :func:`magnify_lagrangian` (one TV-L1 flow at
        224×224 per frame).

    Returns
    -------
    uint8 ``[J, I, 224, 224, 3]``, BGR, in order of time and in the order of `factors`.

    Raises
    ------
    ValueError
        If the frames differ in size.
    BadInput
        If the clip has no apex.
    """
    same_size(frames)
    onset = resized(frames.images[0], (SIDE, SIDE))
    magnified = np.empty((count, len(factors), SIDE, SIDE, 3), np.uint8)
    for images, chosen in zip(magnified, around_apex(frames, count), strict=True):
        frame = resized(chosen, (SIDE, SIDE))
        # The change is the same for all factors, and costs more than its use.
        if method == "eulerian":
            change = eulerian_change(onset, frame)
            images[:] = [_brightened(frame, change, factor) for factor in factors]
        else:
            flow = tvl1(grey(onset), grey(frame))
            images[:] = [_moved(frame, flow, factor) for factor in factors]
    return magnified


@feature(
    name="magnified_11x9",
    version=1,
    frames="onset..offset",
    channels=(),
    size=(FRAMES, len(FACTORS), SIDE, SIDE, 3),
    dtype="uint8",
    params={
        "colour": "BGR",
        "working_size": [SIDE, SIDE],
        "resize": RESIZE,
        "frames": "evenly spaced around the apex, to the nearer of onset and offset, at least 1 apart",
        "factors": list(FACTORS),
        "magnifier": "eulerian, luminance, difference from the onset",
        "octaves": [_FINEST, _COARSEST],
        "opencv": cv2.__version__,
    },
)
def magnified_11x9(frames: ClipFrames) -> Bytes:
    """Magnify 11 frames around the apex by 9 factors from 2 to 12, as AMAN's input is described.

    AMAN magnifies by a trained network (MagNet); here it is linear Eulerian magnification, which needs no weights.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.

    Returns
    -------
    uint8 ``[11, 9, 224, 224, 3]``, BGR; shared with `aman_maps`, so not to be changed.

    Raises
    ------
    ValueError
        If the frames differ in size.
    BadInput
        If the clip has no apex.

    References
    ----------
    Wei, Zheng, Zong, Jiang, Lu, Liu, "A novel micro-expression recognition approach using attention-based
    magnification-adaptive networks", ICASSP 2022.
    """
    return frames.once("magnified_11x9", lambda: magnified_frames(frames, FRAMES, FACTORS))
