"""Flow pictures of the planted motion, for the twins of projects that share pictures instead of frames."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.maps import reduce, stretch
from mer_data.features.strain import standard
from mer_data.synthetic.motion import Field

# Rows with brows and eyes and with the mouth of a drawn face, as shares of its height.
_STRIPS = ((0.2, 0.46), (0.66, 0.92))


def coloured(flow: Field, side: int) -> npt.NDArray[np.uint8]:
    """Colour a flow ``[2, H, W]`` as a picture, uint8 ``[side, side, 3]`` in OpenCV's order: strain, v, u.

    In the file red is u, green v and blue the strain, each stretched to 0..255, as in the maps of STSTNet.
    """
    maps = np.concatenate([flow, standard(flow)[None]])
    return np.ascontiguousarray(stretch(reduce(maps, (side, side)))[::-1].transpose(1, 2, 0))


def puzzled(flow: Field) -> Field:
    """Compute the flow between two faces of which only brows and eyes, over the mouth, were kept and enlarged."""
    height, width = flow.shape[1:]
    half = height // 2
    parts = []
    for low, high in _STRIPS:
        strip = flow[:, round(low * height) : round(high * height)]
        enlarged = np.stack([cv2.resize(channel, (width, half)) for channel in strip])
        enlarged[1] *= half / strip.shape[1]  # what is stretched downwards moves as much more
        parts.append(enlarged)
    return np.concatenate(parts, axis=1)


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Encode a picture as the bytes of a PNG file."""
    data: Any = cv2.imencode(".png", picture)[1]
    return bytes(data)
