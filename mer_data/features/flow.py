"""Optical flow from onset to apex, optical strain, and the small motion maps made of them.

Flow is (u, v) in pixels: u along columns (to the right), v along rows (downwards), so that
``onset(x, y) = apex(x + u, y + v)``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.spec import Frames, feature
from mer_data.problems import BadInput, Problem

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
    BadInput
        If the installed OpenCV has no TV-L1. Nothing replaces it silently: that would be another feature.

    References
    ----------
    Zach, Pock, Bischof, "A duality based approach for realtime TV-L1 optical flow", DAGM 2007;
    Sánchez, Meinhardt-Llopis, Facciolo, "TV-L1 optical flow estimation", IPOL 2013.
    """
    if before.shape != after.shape:
        (h0, w0), (h1, w1) = before.shape, after.shape
        raise ValueError(f"the frames differ in size: {w0}x{h0} and {w1}x{h1} (width x height)")
    create = getattr(getattr(cv2, "optflow", None), "DualTVL1OpticalFlow_create", None)
    if create is None:
        remedy = "uninstall every other opencv package, then `pip install opencv-contrib-python-headless`"
        raise BadInput(Problem(f"OpenCV {cv2.__version__}", "was built without TV-L1 optical flow", remedy))
    flow = create(*TVL1_PARAMS.values()).calc(before, after, None)
    return np.ascontiguousarray(np.moveaxis(flow, -1, 0), np.float32)


def strain(flow: Maps) -> Maps:
    """Compute the magnitude of the infinitesimal strain tensor, ``sqrt(ux² + vy² + (uy + vx)² / 2)``.

    This is the Frobenius norm of ``(grad w + grad wᵀ) / 2``: zero for a translation and for a small rotation.
    Derivatives are central differences per pixel, one-sided at the border.

    Parameters
    ----------
    flow
        u and v in pixels, float32 ``[2, H, W]``.

    Returns
    -------
    float32 ``[H, W]``, without unit (pixels per pixel), never negative.
    """
    u_y, u_x = np.gradient(flow[0])
    v_y, v_x = np.gradient(flow[1])
    return np.asarray(np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2), np.float32)


def reduce(maps: Maps, size: tuple[int, int]) -> Maps:
    """Reduce maps ``[C, H, W]`` to a size (height, width) by an area filter; values keep their unit.

    Plain bilinear or bicubic reduction by a factor of five or more aliases.
    """
    small = [cv2.resize(channel, size[::-1], interpolation=cv2.INTER_AREA) for channel in maps]
    return np.stack(small).astype(np.float32)


def stretch(maps: Maps) -> npt.NDArray[np.uint8]:
    """Stretch each channel of ``[C, H, W]`` on its own to 0..255 and round; a constant channel gives zeros.

    The amplitude and the zero of the motion are gone afterwards. It is what the published STSTNet maps are.
    """
    low = maps.min(axis=(1, 2), keepdims=True).astype(np.float64)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    return np.asarray(np.rint((maps - low) * (255 / np.where(span > 0, span, 1))), np.uint8)


@feature(
    name="flow_uvs_28",
    version=1,
    frames="onset-apex",
    channels=("u", "v", "strain"),
    size=(28, 28),
    dtype="uint8",
    params={
        "grey": "BGR luminance, 8 bit",
        "algorithm": "OpenCV DualTVL1",
        "algorithm_params": TVL1_PARAMS,
        "working_size": "crop",
        "strain": "standard, central differences, at working size",
        "reduction": "area, after the flow",
        "flow_units": "source",
        "scaling": "minmax-map to 0..255 after the reduction",
        "opencv": cv2.__version__,
    },
)
def flow_uvs_28(frames: Frames) -> npt.NDArray[np.uint8]:
    """Compute u, v and strain of onset -> apex as STSTNet has them: 28×28, each stretched to 0..255.

    The flow is computed at the crop's own size and reduced afterwards; on images that were reduced first, a
    motion of one or two pixels vanishes.

    Parameters
    ----------
    frames
        Onset and apex, uint8 ``[H, W, 3]`` each, BGR, of one size.

    Returns
    -------
    uint8 ``[3, 28, 28]``: u, v, strain.

    Raises
    ------
    ValueError
        If the two frames differ in size.

    References
    ----------
    Liong, Gan, See, Khor, Huang, "Shallow triple stream three-dimensional CNN (STSTNet) for micro-expression
    recognition", FG 2019.
    """
    onset, apex = (grey(frame) for frame in frames)
    flow = tvl1(onset, apex)
    return stretch(reduce(np.concatenate([flow, strain(flow)[None]]), (28, 28)))
