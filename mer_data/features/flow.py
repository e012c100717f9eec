"""Optical flow between two frames, by three algorithms.

Flow is (u, v) in pixels: u along columns (to the right), v along rows (downwards), so that
``onset(x, y) = apex(x + u, y + v)``.

TV-L1 is computed by :mod:`mer_data.features.tvl1`, with the bytes of OpenCV's. An algorithm object of OpenCV is made
for every pair: one that is used again may remember what it chose for smaller images before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.float32]

# The library's defaults, written out because they are part of a feature's identity. In the order of the
# arguments of DualTVL1OpticalFlow_create, whose keywords are misspelt in some versions of OpenCV.
TVL1_PARAMS: dict[str, Any] = {
    "tau": 0.25,
    "lambda": 0.15,
    "theta": 0.3,
    "scales": 5,
    "warps": 5,
    "epsilon": 0.01,
    "inner_iterations": 30,
    "outer_iterations": 10,
    "scale_step": 0.8,
    "gamma": 0.0,
    "median_filtering": 5,
    "use_initial_flow": False,
}

# In the order of the arguments of calcOpticalFlowFarneback.
FARNEBACK_PARAMS: dict[str, Any] = {
    "pyramid_scale": 0.5,
    "levels": 3,
    "window": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}

DIS_PARAMS: dict[str, Any] = {"preset": "medium"}


@dataclass(frozen=True)
class Algorithm:
    """A flow algorithm: its name in a feature's definition, its parameters, and the function."""

    title: str
    params: Mapping[str, Any]
    compute: Callable[[Grey, Grey], Maps]


def grey(frame: npt.NDArray[np.uint8]) -> Grey:
    """Take the luminance, uint8 ``[H, W]``, of a frame, uint8 ``[H, W, 3]`` in OpenCV's order BGR."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)


def tvl1(before: Grey, after: Grey) -> Maps:
    """Compute TV-L1 optical flow at the images' own resolution, with the parameters of :data:`TVL1_PARAMS`.

    Parameters
    ----------
    before, after
        Grey images, uint8 ``[H, W]``, of one size.

    Returns
    -------
    float32 ``[2, H, W]``: u and v in pixels, with ``before(x, y) = after(x + u, y + v)``.

    Raises
    ------
    ValueError
        If the images differ in size.

    References
    ----------
    Zach, Pock, Bischof, "A duality based approach for realtime TV-L1 optical flow", DAGM 2007;
    Sánchez, Meinhardt-Llopis, Facciolo, "TV-L1 optical flow estimation", IPOL 2013.
    """
    _check_sizes(before, after)
    from mer_data.features.tvl1 import dual_tvl1  # not above: every command would wait for the compiler's import

    return dual_tvl1(before, after, TVL1_PARAMS)


def farneback(before: Grey, after: Grey) -> Maps:
    """Compute Farnebäck's flow, with :data:`FARNEBACK_PARAMS`; arguments, result and errors as for :func:`tvl1`.

    Faster than TV-L1, but smoother: its window of 15 pixels under-estimates local motion.

    References
    ----------
    Farnebäck, "Two-frame motion estimation based on polynomial expansion", SCIA 2003.
    """
    _check_sizes(before, after)
    return _planes(cv2.calcOpticalFlowFarneback(before, after, None, *FARNEBACK_PARAMS.values()))  # type: ignore[call-overload]


def dis(before: Grey, after: Grey) -> Maps:
    """Compute dense inverse search, preset medium; arguments, result and errors as for :func:`tvl1`.

    References
    ----------
    Kroeger, Timofte, Dai, Van Gool, "Fast optical flow using dense inverse search", ECCV 2016.
    """
    _check_sizes(before, after)
    algorithm = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return _planes(algorithm.calc(before, after, None))  # type: ignore[call-overload]


ALGORITHMS: Mapping[str, Algorithm] = {
    "tvl1": Algorithm("OpenCV DualTVL1", TVL1_PARAMS, tvl1),
    "farneback": Algorithm("OpenCV Farneback", FARNEBACK_PARAMS, farneback),
    "dis": Algorithm("OpenCV DIS", DIS_PARAMS, dis),
}


def _check_sizes(before: Grey, after: Grey) -> None:
    if before.shape != after.shape:
        (h0, w0), (h1, w1) = before.shape, after.shape
        raise ValueError(f"the frames differ in size: {w0}x{h0} and {w1}x{h1} (width x height)")


def _planes(flow: npt.NDArray[Any]) -> Maps:
    """OpenCV's ``[H, W, 2]`` as ``[2, H, W]``."""
    return np.ascontiguousarray(np.moveaxis(flow, -1, 0), np.float32)
