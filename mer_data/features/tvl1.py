"""TV-L1 optical flow, compiled: the bytes of OpenCV's DualTVL1, four to ten times as fast.

OpenCV calls the C library's ``hypot`` twice per pixel and iteration, which takes two thirds of its time and keeps the
processor from working on several pixels at once. Here an iteration is a loop that Numba turns into vector instructions;
warping, median filter and pyramid stay OpenCV's own functions. Sums are made in OpenCV's order and the square root in
double precision, as ``hypotf`` makes it: on x86-64 the results are equal bit by bit, which a test checks, so that
figures made with OpenCV stay comparable. Where a compiler fuses multiplication and addition (OpenCV on ARM),
the last bit may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import cv2
import numba
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
P = ParamSpec("P")
R = TypeVar("R")

_SMALLEST_SIDE = 16  # pixels; OpenCV makes no coarser image
_FLAT = np.finfo(np.float32).eps  # a squared gradient below it tells nothing


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call, and keep the machine code for the next process where there is a place for it."""
    try:
        return numba.njit(error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return numba.njit(error_model="numpy")(function)


def dual_tvl1(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], params: Mapping[str, Any]) -> Plane:
    """Compute flow from the coarsest image of the pyramid to the finest.

    Parameters
    ----------
    before, after
        Grey images, uint8 ``[H, W]``, of one size.
    params
        OpenCV's parameters by name; ``gamma`` and ``use_initial_flow`` are not used: they are off by default.

    Returns
    -------
    float32 ``[2, H, W]``: u and v in pixels.

    References
    ----------
    Zach, Pock, Bischof, DAGM 2007, algorithm 1. It stops by the squared change of the flow, summed over the image.
    """
    step = params["scale_step"]
    images = [(before.astype(np.float32), after.astype(np.float32))]
    while len(images) < params["scales"]:
        smaller = [cv2.resize(image, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR) for image in images[-1]]
        if min(smaller[0].shape) < _SMALLEST_SIDE:
            break
        images.append((np.asarray(smaller[0], np.float32), np.asarray(smaller[1], np.float32)))
    flow = (np.zeros_like(images[-1][0]), np.zeros_like(images[-1][0]))
    for scale, pair in reversed(list(enumerate(images))):
        flow = _one_scale(*pair, *flow, params)
        if scale:
            height, width = images[scale - 1][0].shape
            larger = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in flow)
            u, v = (np.asarray(cv2.multiply(plane, 1 / step), np.float32) for plane in larger)
            flow = u, v
    return np.stack(flow)


def _one_scale(before: Plane, after: Plane, u: Plane, v: Plane, params: Mapping[str, Any]) -> tuple[Plane, Plane]:
    """Improve the flow ``u, v`` between two images of one size."""
    theta = params["theta"]
    weights = np.array([params["lambda"] * theta, theta, params["tau"] / theta], np.float32)
    limit = np.float32(params["epsilon"] * params["epsilon"] * before.size)
    columns = np.arange(before.shape[1], dtype=np.float32)
    rows = np.arange(before.shape[0], dtype=np.float32)[:, None]
    zeros = np.zeros_like(before)
    duals = zeros, zeros.copy(), zeros.copy(), zeros.copy()  # kept from one warp to the next
    planes = (after, *_gradient(after))
    for _ in range(params["warps"]):
        at = columns + u, rows + v
        warped, x, y = (np.asarray(cv2.remap(plane, *at, cv2.INTER_CUBIC), np.float32) for plane in planes)
        constant = warped - x * u - y * v - before
        change = np.float32(np.inf)
        for _ in range(params["outer_iterations"]):
            if change <= limit:
                break
            u, v = (np.asarray(cv2.medianBlur(plane, params["median_filtering"]), np.float32) for plane in (u, v))
            change = _iterate(x, y, x * x + y * y, constant, u, v, duals, weights, limit, params["inner_iterations"])
    return u, v


def _gradient(image: Plane) -> tuple[Plane, Plane]:
    """Take central differences, halved at the border as well, where they span one pixel."""
    wide = np.pad(image, 1, mode="edge")
    half = np.float32(0.5)
    return half * (wide[1:-1, 2:] - wide[1:-1, :-2]), half * (wide[2:, 1:-1] - wide[:-2, 1:-1])


@compiled
def _iterate(
    x: Plane,
    y: Plane,
    squares: Plane,
    constant: Plane,
    u: Plane,
    v: Plane,
    duals: tuple[Plane, Plane, Plane, Plane],
    weights: Plane,
    limit: np.float32,
    iterations: int,
) -> np.float32:
    """Change flow and dual variables in place until the flow's squared change is at most ``limit``.

    A row's flow needs the dual variables of the row above as they were, and those need the flow of the row below as
    it is now: hence each iteration is one pass over the image, the dual variables one row behind.
    """
    p11, p12, p21, p22 = duals
    threshold, theta, rate = weights
    height, width = u.shape
    nothing = np.zeros(width, np.float32)
    squared = np.empty(width, np.float32)
    change = np.float32(np.inf)
    for _ in range(iterations):
        change = np.float32(0)
        for row in range(height):
            xs, ys, square, const, us, vs = x[row], y[row], squares[row], constant[row], u[row], v[row]
            a, b, c, d = p11[row], p12[row], p21[row], p22[row]
            b_above = p12[row - 1] if row else nothing
            d_above = p22[row - 1] if row else nothing
            for i in range(width):
                # Towards constant brightness. No branches, so that this becomes vector instructions.
                rho = const[i] + (xs[i] * us[i] + ys[i] * vs[i])
                bound = threshold * square[i]
                step = -rho / square[i]
                step = step if square[i] > _FLAT else np.float32(0)
                step = -threshold if rho > bound else step
                step = threshold if rho < -bound else step
                # The divergence of the dual variables makes it smooth.
                if i:
                    of_u = (a[i] - a[i - 1]) + (b[i] - b_above[i])
                    of_v = (c[i] - c[i - 1]) + (d[i] - d_above[i])
                else:
                    of_u = (a[i] + b[i]) - b_above[i]
                    of_v = (c[i] + d[i]) - d_above[i]
                new_u = (us[i] + step * xs[i]) + theta * of_u
                new_v = (vs[i] + step * ys[i]) + theta * of_v
                change_u, change_v = new_u - us[i], new_v - vs[i]
                squared[i] = change_u * change_u + change_v * change_v
                us[i], vs[i] = new_u, new_v
            for i in range(width):  # in this order: the sum decides when to stop
                change += squared[i]
            if row:
                _duals_of_row(u[row - 1], us, p11[row - 1], b_above, rate)
                _duals_of_row(v[row - 1], vs, p21[row - 1], d_above, rate)
        _duals_of_row(u[-1], u[-1], p11[-1], p12[-1], rate)
        _duals_of_row(v[-1], v[-1], p21[-1], p22[-1], rate)
        if change <= limit:
            break
    return change


@compiled
def _duals_of_row(row: Plane, below: Plane, along: Plane, down: Plane, rate: np.float32) -> None:
    """Follow the gradient of one row of the flow; ``below`` is the row itself at the lower border."""
    last = len(row) - 1
    for i in range(len(row)):
        dx = row[i + 1] - row[i] if i < last else np.float32(0)
        dy = below[i] - row[i]
        length = np.float32(np.sqrt(np.float64(dx) * np.float64(dx) + np.float64(dy) * np.float64(dy)))
        norm = np.float32(1) + rate * length
        along[i] = (along[i] + rate * dx) / norm
        down[i] = (down[i] + rate * dy) / norm
