"""Finding the apex of a clip that has none annotated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.frames import decode, frame_bytes

Method = Literal["flow", "diff", "std"]
Grey = npt.NDArray[np.uint8]
Image = npt.NDArray[np.uint8]
_SIDE = 128  # pixels; enough for the place of the maximum, and the cost does not depend on the recording
_EDGE = 12  # pixels left out all round: what a drift moves in and out of the picture has no flow


def midpoint(onset: int, offset: int) -> int:
    """The middle frame number, never the onset itself."""
    return max(onset + 1, onset + (offset - onset) // 2)


def spot_apex(
    frames: Mapping[int, Path],
    onset: int,
    offset: int,
    *,
    fps: float = 200.0,
    method: Method = "flow",
    look: Callable[[Image], Image] = lambda image: image,
) -> int:
    """The frame number in (onset, offset] at which the face has moved most since the onset.

    The outer tenth of the interval is no candidate. The score is smoothed over time; ties go to the earliest.
    ``flow`` is the mean length of Farneback flow from the onset after subtracting its median vector, so that a shift of
    the whole face does not count; ``diff`` is the mean absolute difference of images of equal mean; ``std`` is the
    standard deviation of the difference (as the lists of Xia et al. for RCN). Drift misleads the last two.

    Parameters
    ----------
    frames
        Frame files by number.
    onset, offset
        The interval, inclusive; both need not exist as files, but the onset's nearest successor is the reference.
    fps
        Frames per second, for the width of the smoothing.
    method
        How motion is measured.
    look
        What is done to each frame, uint8 ``[H, W, 3]``, before motion is looked for in it.

    Raises
    ------
    BadInput
        If a frame cannot be read.
    """
    numbers = [number for number in sorted(frames) if onset <= number <= offset]
    if len(numbers) < 2:
        return midpoint(onset, offset)
    margin = max(1, round(0.1 * (offset - onset)))
    images = [_small(frames[number], look) for number in numbers]
    scores = _smooth([_score(images[0], image, method) for image in images], fps)
    inner = [i for i, number in enumerate(numbers) if onset + margin <= number <= offset - margin and i > 0]
    candidates = inner or range(1, len(numbers))
    return numbers[max(candidates, key=lambda i: (scores[i], -i))]


def _small(path: Path, look: Callable[[Image], Image]) -> Grey:
    image = cv2.cvtColor(look(decode(frame_bytes(path), str(path))), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _score(onset: Grey, image: Grey, method: Method) -> float:
    if method == "flow":
        # Pyramid scale, levels, window, iterations, neighbourhood and sigma of the polynomials, flags.
        room = np.empty((*onset.shape, 2), np.float32)
        flow = cv2.calcOpticalFlowFarneback(onset, image, room, 0.5, 3, 15, 3, 5, 1.2, 0)
        flow = flow[_EDGE:-_EDGE, _EDGE:-_EDGE]
        flow = flow - np.median(flow, axis=(0, 1))
        return float(np.linalg.norm(flow, axis=-1).mean())
    difference = image.astype(np.float32) - onset
    difference -= difference.mean()
    return float(np.abs(difference).mean() if method == "diff" else difference.std())


def _smooth(scores: Sequence[float], fps: float) -> npt.NDArray[np.float64]:
    """Centred moving average over about a fiftieth of a second, at least three frames."""
    width = max(3, round(fps * 0.02)) | 1
    padded = np.pad(np.asarray(scores, np.float64), width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")
