"""What features of a whole clip share: its frames at one size, and the place of its apex."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.flow import grey
from mer_data.features.spec import Frames
from mer_data.problems import BadInput, Problem

Bytes = npt.NDArray[np.uint8]

RESIZE = "area if both sides shrink, else bilinear"
GREY = "BGR luminance, 8 bit, before resizing"


def resized(image: Bytes, size: tuple[int, int]) -> Bytes:
    """Bring an image, uint8 ``[H, W]`` or ``[H, W, 3]``, to a size (height, width), as :data:`RESIZE` says.

    Bilinear reduction aliases; an area filter has nothing to average when it enlarges.
    """
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)


def same_size(frames: Frames) -> None:
    """Refuse frames that differ in size: resizing them would stretch the face between two of them.

    Raises
    ------
    ValueError
        Naming the sizes.
    """
    sizes = sorted({frame.shape[:2] for frame in frames})
    if len(sizes) > 1:
        (h0, w0), (h1, w1) = sizes[0], sizes[-1]
        raise ValueError(f"the frames differ in size: {w0}x{h0} and {w1}x{h1} (width x height)")


def grey_volume(frames: Frames, size: tuple[int, int]) -> Bytes:
    """Stack a clip's luminance at a size (height, width): uint8 ``[T, height, width]``, shared, so not to be changed.

    Raises
    ------
    ValueError
        If the frames differ in size.
    """

    def stack() -> Bytes:
        same_size(frames)
        return np.stack([resized(grey(frame), size) for frame in frames])

    return frames.once(("grey volume", size), stack)


def apex_of(frames: Frames) -> int:
    """Give the apex's frame number.

    Raises
    ------
    BadInput
        If the clip has no apex among the frames, which some datasets do not annotate.
    """
    first, last = frames.numbers[0], frames.numbers[-1]
    if not first <= frames.apex <= last:
        what = f"the clip has no apex between its frames {first} and {last}"
        raise BadInput(Problem("annotation", what, "correct its apex, and import the dataset again"))
    return frames.apex


def working_params(size: tuple[int, int]) -> dict[str, Any]:
    """Name what :func:`grey_volume` does, for the parameters of a feature."""
    return {"grey": GREY, "working_size": list(size), "resize": RESIZE, "opencv": cv2.__version__}
