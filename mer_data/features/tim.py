"""Temporal interpolation: clips of any length to a fixed number of frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Volume = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]

TIM = "path graph, closed form; frames taken as evenly spaced; rounded to 8 bit"


def tim(volume: npt.NDArray[np.generic], n: int) -> Volume:
    """Interpolate a clip along the curve of a path graph (TIM).

    The method centres the frames, embeds them by a singular value decomposition U S Vᵀ, fits the Laplacian
    eigenvectors of the path graph to the embedded frames by least squares, and maps points of the eigenvectors'
    continuous curves y(t) back. Since the eigenvectors Y are orthonormal and span the same space as V when the
    frames are linearly independent, all of this is the fixed map ``mean + X Y y(t)``. If frames are linearly
    dependent (two equal ones, for instance), the least-squares solution of smallest norm is still that map. So no
    decomposition is computed and no clip is singular.

    Parameters
    ----------
    volume
        Frames, ``[T, H, W]`` (or any other axes after the first), evenly spaced in time.
    n
        Frames wanted, at least 1. The first and the last are those of the clip; `n` = T returns the clip.

    Returns
    -------
    float64 ``[n, H, W]``. It may leave the range of the input a little: the curve is made of sines.

    Raises
    ------
    ValueError
        If there is no frame, or none is wanted.

    References
    ----------
    Zhou, Zhao, Pietikäinen, "Towards a practical lipreading system", CVPR 2011.
    """
    return _weighted(volume, tim_weights(len(volume), n))


def linear(volume: npt.NDArray[np.generic], n: int) -> Volume:
    """Interpolate linearly between neighbouring frames; arguments and result are those of :func:`tim`."""
    return _weighted(volume, linear_weights(len(volume), n))


def tim_bytes(volume: npt.NDArray[np.uint8], n: int) -> npt.NDArray[np.uint8]:
    """Interpolate as :func:`tim` does, rounded and cut to whole grey levels: uint8 ``[n, H, W]``."""
    return np.asarray(np.clip(np.rint(tim(volume, n)), 0, 255), np.uint8)


def tim_weights(length: int, n: int) -> Weights:
    """Give the share of each of `length` frames in each of `n` interpolated ones, float64 ``[n, length]``.

    The eigenvectors ``sin(πkt + π(length - k) / (2 length))`` at ``t = j / length`` are ``cos(πk(j - 1/2) / length)``,
    of squared length ``length / 2``. One frame is repeated; between two, where the curve is a single sine, the
    interpolation is linear.
    """
    if length <= 2:
        return linear_weights(length, n)
    _check(length, n)
    frame = (np.arange(1, length + 1) - 0.5) * np.pi / length
    wanted = (np.linspace(1, length, n) - 0.5) * np.pi / length
    k = np.arange(1, length)
    curves = np.cos(np.outer(wanted, k)) @ np.cos(np.outer(k, frame))
    return np.asarray((1 + 2 * curves) / length, np.float64)


def linear_weights(length: int, n: int) -> Weights:
    """Give the share of each of `length` frames in each of `n` linearly interpolated ones, ``[n, length]``."""
    _check(length, n)
    position = np.linspace(0, length - 1, n)
    return np.asarray(np.maximum(0, 1 - np.abs(position[:, None] - np.arange(length))), np.float64)


def _check(length: int, n: int) -> None:
    if length < 1 or n < 1:
        raise ValueError(f"cannot interpolate {length} frames to {n}")


def _weighted(volume: npt.NDArray[np.generic], weights: Weights) -> Volume:
    return np.asarray(np.tensordot(weights, np.asarray(volume, np.float64), axes=1), np.float64)
