"""Optical strain: how much the face is stretched at each pixel, in the versions that published code computes.

The strain tensor of a flow w = (u, v) is E = (grad w + grad wᵀ) / 2, with the entries ux, vy and, twice, (uy + vx) / 2.
Subscripts are derivatives. `STRAINS` names the versions; `standard` is the definition, the others serve to repeat
results. Versions whose derivatives are Sobel sums are 8 times larger than a slope per pixel on a linear field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Maps = npt.NDArray[np.float32]
Gradient = tuple[Maps, Maps, Maps, Maps]


@dataclass(frozen=True)
class Strain:
    """One version: its definition in words, which is part of a feature's identity, and the function.

    `compute` takes u and v in pixels, float32 ``[2, H, W]``, and gives float32 ``[H, W]``, never negative.
    """

    definition: str
    compute: Callable[[Maps], Maps]


def standard(flow: Maps) -> Maps:
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
    return _frobenius(_central(flow))


def standard_backward(flow: Maps) -> Maps:
    """Compute :func:`standard` with differences to the previous pixel; the first row and column repeat the second's.

    The method of the MATLAB function that comes with STSTNet (Liong et al., FG 2019): half a pixel off, and noisier.
    """
    return _frobenius(_backward(flow))


def standard_sobel(flow: Maps) -> Maps:
    """Compute :func:`standard` with 3×3 Sobel sums, not divided by 8; smoother, and 8 times as large."""
    return _frobenius(_sobel(flow))


def offtanet(flow: Maps) -> Maps:
    """Compute ``sqrt(ux² + uy² + (vx + uy)² / 2)`` with 3×3 Sobel sums, the strain of Off-TANet's code.

    Its second term should be vy²: vertical stretching is lost, and a rotation counts. `standard_sobel` is the same
    with vy².
    """
    u_x, u_y, v_x, _ = _sobel(flow)
    return np.asarray(np.sqrt(u_x**2 + u_y**2 + (v_x + u_y) ** 2 / 2), np.float32)


def meb(flow: Maps) -> Maps:
    """Compute ``sqrt(uy² + vx² + (ux² + vy²) / 2)`` with 3×3 Sobel sums, the strain of the MEB library's code.

    There the axes are exchanged and the mixed term is split (Varanka et al., arXiv 2211.11425).
    """
    u_x, u_y, v_x, v_y = _sobel(flow)
    return np.asarray(np.sqrt(u_y**2 + v_x**2 + (u_x**2 + v_y**2) / 2), np.float32)


def quarter(flow: Maps) -> Maps:
    """Compute ``sqrt(ux² + vy² + (uy + vx)² / 4)``: the mixed term of the tensor once instead of twice."""
    u_x, u_y, v_x, v_y = _central(flow)
    return np.asarray(np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 4), np.float32)


STRAINS: Mapping[str, Strain] = {
    "standard": Strain("standard, central differences", standard),
    "standard-backward": Strain("standard, backward differences", standard_backward),
    "standard-sobel": Strain("standard, 3x3 Sobel sums", standard_sobel),
    "offtanet": Strain("sqrt(ux^2 + uy^2 + (vx + uy)^2 / 2), 3x3 Sobel sums", offtanet),
    "meb": Strain("sqrt(uy^2 + vx^2 + (ux^2 + vy^2) / 2), 3x3 Sobel sums", meb),
    "quarter": Strain("sqrt(ux^2 + vy^2 + (uy + vx)^2 / 4), central differences", quarter),
}


def _frobenius(gradient: Gradient) -> Maps:
    u_x, u_y, v_x, v_y = gradient
    return np.asarray(np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2), np.float32)


def _central(flow: Maps) -> Gradient:
    u_y, u_x = np.gradient(flow[0])
    v_y, v_x = np.gradient(flow[1])
    return u_x, u_y, v_x, v_y


def _backward(flow: Maps) -> Gradient:
    u, v = flow
    return _to_previous(u, 1), _to_previous(u, 0), _to_previous(v, 1), _to_previous(v, 0)


def _to_previous(channel: Maps, axis: int) -> Maps:
    steps = np.diff(channel, axis=axis)
    return np.concatenate([steps.take([0], axis), steps], axis)


def _sobel(flow: Maps) -> Gradient:
    """Sobel sums; the border is mirrored without repeating the edge, so the slope across it is 0 there."""
    u, v = flow
    return _sobel_of(u, 1, 0), _sobel_of(u, 0, 1), _sobel_of(v, 1, 0), _sobel_of(v, 0, 1)


def _sobel_of(channel: Maps, x: int, y: int) -> Maps:
    return np.asarray(cv2.Sobel(channel, cv2.CV_32F, x, y, ksize=3, borderType=cv2.BORDER_REFLECT_101), np.float32)
