"""LBP-TOP: histograms of local binary patterns on the planes XY, XT and YT of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mer_data.features.sequence import Bytes, grey_volume, working_params
from mer_data.features.spec import Frames, feature
from mer_data.features.tim import TIM, tim_bytes

Sampling = Literal["nearest", "bilinear"]
Table = npt.NDArray[np.intp]
Layer = npt.NDArray[np.intp]
Radii = tuple[int, int, int]

SIZE = (170, 140)  # height, width: the working size that the OFF-ApexNet and STSTNet papers name


def uniform_table(points: int, shared: Literal["first", "last"] = "last") -> Table:
    """Map codes to bins: one for each code of at most two 0/1 changes around the circle, one that the others share.

    Parameters
    ----------
    points
        Bits of a code.
    shared
        Where the bin of the non-uniform codes is; the uniform ones keep their ascending order.

    Returns
    -------
    intp ``[2 ** points]``, of ``points * (points - 1) + 3`` bins.
    """
    bits = (np.arange(2**points)[:, None] >> np.arange(points)) & 1
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    own = np.cumsum(uniform) - 1
    return np.where(uniform, own, uniform.sum()) if shared == "last" else np.where(uniform, own + 1, 0)


def lbp_codes(volume: Bytes, radii: Radii, points: int, sampling: Sampling) -> npt.NDArray[np.uint16]:
    """Compute the three binary codes of every voxel that has all its neighbours.

    Neighbour p of P lies at the angle a = 2πp/P: in XY at (x + Rx cos a, y - Ry sin a), in XT at
    (x + Rx cos a, t - Rt sin a), in YT at (y - Ry cos a, t - Rt sin a). Bit p is 1 if the neighbour is >= the voxel.

    Parameters
    ----------
    volume
        Grey frames, uint8 ``[T, H, W]``.
    radii
        Rx, Ry, Rt in pixels and frames. That much is left out at each border, for all planes alike.
    points
        Neighbours P, at most 16.
    sampling
        ``nearest`` rounds coordinates by floor(c + 0.5), ``bilinear`` interpolates between four voxels.

    Returns
    -------
    uint16 ``[3, T - 2 Rt, H - 2 Ry, W - 2 Rx]``: planes XY, XT, YT.

    Raises
    ------
    ValueError
        If nothing is left inside the borders.
    """
    rx, ry, rt = radii
    border = (rt, ry, rx)
    inner = tuple(length - 2 * radius for length, radius in zip(volume.shape, border, strict=True))
    if min(inner) < 1:
        raise ValueError(f"frames x height x width {volume.shape} are too few for radii {border}")
    # Bytes compare several times faster than floats, and nearest neighbours need nothing else.
    voxels = volume if sampling == "nearest" else volume.astype(np.float64)
    centre = _neighbour(voxels, border, (0.0, 0.0, 0.0))
    codes = np.zeros((3, *inner), np.uint16)
    for bit in range(points):
        angle = 2 * np.pi * bit / points
        cos, sin = np.cos(angle), np.sin(angle)
        planes = ((0, -ry * sin, rx * cos), (-rt * sin, 0, rx * cos), (-rt * sin, -ry * cos, 0))
        for code, offset in zip(codes, planes, strict=True):
            # cos(π/2) is not quite 0 in floating point.
            place = [round(float(value), 12) for value in offset]
            if sampling == "nearest":
                place = [float(np.floor(value + 0.5)) for value in place]
            code |= (_neighbour(voxels, border, place) >= centre).astype(np.uint16) << bit
    return codes


def _neighbour(voxels: npt.NDArray[Any], border: tuple[int, int, int], offset: Sequence[float]) -> npt.NDArray[Any]:
    """Look up all voxels inside the border at an offset (t, y, x); between voxels, interpolate axis by axis.

    ``a + share * (b - a)`` is exactly a where both are equal, so that ties stay ties.
    """
    for axis, value in enumerate(offset):
        low = int(np.floor(value))
        if low != value:
            below, above = (
                _neighbour(voxels, border, [*offset[:axis], float(whole), *offset[axis + 1 :]])
                for whole in (low, low + 1)
            )
            return np.asarray(below + (value - low) * (above - below))
    return voxels[
        tuple(
            slice(radius + int(value), length - radius + int(value))
            for radius, value, length in zip(border, offset, voxels.shape, strict=True)
        )
    ]


def split_blocks(height: int, width: int, count: int) -> list[Layer]:
    """Cut a picture into `count` x `count` blocks without overlap, edges at round(i * length / count).

    Returns
    -------
    One layer, intp ``[height, width]``: the block of each pixel, counted row by row.
    """

    def place(length: int) -> Layer:
        edges = np.rint(np.arange(1, count) * length / count)
        return np.searchsorted(edges, np.arange(length), side="right")

    return [place(height)[:, None] * count + place(width)]


def overlapping_blocks(height: int, width: int, count: int, overlap: float) -> list[Layer]:
    """Cut a picture into `count` x `count` overlapping blocks by the arithmetic of MEB's code.

    Every pixel has a first block and, where another row or column of blocks covers it too, a second one (only one:
    the second row with the second column).

    Parameters
    ----------
    height, width
        Of the picture without its border.
    count
        Blocks along each axis.
    overlap
        Share of a block, above 0.

    Returns
    -------
    Two layers, intp ``[height, width]``: first and second block of each pixel, -1 where there is no second.

    Raises
    ------
    ValueError
        If the picture is too small to overlap: the arithmetic then miscounts.
    """

    def place(length: int) -> tuple[Layer, Layer]:
        free = -(-length // count) - 1
        over = int(np.ceil(free * overlap)) - 1
        if over < 1:
            raise ValueError(f"{length} pixels are too few for {count} blocks that overlap by {overlap}")
        size = (length + over * (count - 1)) // count
        x = np.arange(1, length + 1)
        first = np.where(x - size - 1 < 0, 0, (x - size - 1) // (size - over) + 1)
        second = -(-(x + (first + 1) * over) // size) - 1
        return np.minimum(first, count - 1), np.minimum(second, count - 1)

    rows, columns = place(height), place(width)
    first, second = (row[:, None] * count + column for row, column in zip(rows, columns, strict=True))
    return [first, np.where(second == first, -1, second)]


def lbp_top(
    volume: Bytes, radii: Radii, points: int, table: Table, layers: Sequence[Layer], sampling: Sampling
) -> npt.NDArray[np.float64]:
    """Compute LBP-TOP histograms per block and plane, each of sum 1.

    Parameters
    ----------
    volume, radii, points, sampling
        As for :func:`lbp_codes`.
    table
        Bin of each code; it may be made for more points than `points`.
    layers
        Block of each pixel inside the border, ``[H - 2 Ry, W - 2 Rx]``; a pixel votes once for each layer in which
        it is not -1. Blocks count from 0, and the first layer has them all.

    Returns
    -------
    float64 ``[blocks, 3, bins]``, planes XY, XT, YT.

    Raises
    ------
    ValueError
        If nothing is left inside the borders.

    References
    ----------
    Zhao, Pietikäinen, "Dynamic texture recognition using local binary patterns with an application to facial
    expressions", IEEE TPAMI 29(6), 2007.
    """
    bins, blocks = int(table.max()) + 1, int(layers[0].max()) + 1
    votes = np.zeros((3, blocks * bins))
    for plane, codes in zip(votes, lbp_codes(volume, radii, points, sampling), strict=True):
        for layer in layers:
            counted = layer >= 0
            into = layer[counted] * bins + table[codes[:, counted]]
            plane += np.bincount(into.ravel(), minlength=plane.size)
    histograms = votes.reshape(3, blocks, bins).transpose(1, 0, 2)
    return np.asarray(histograms / histograms.sum(axis=2, keepdims=True))


_PARAMS: dict[str, Any] = {
    **working_params(SIZE),
    "code": "neighbour >= centre; XY (x, -y), XT (x, -t), YT (-y, -t)",
    "border": "the radii, removed once from the clip",
    "order": "block by rows, plane XY XT YT, bin",
    "normalisation": "each histogram to sum 1",
}


@feature(
    name="lbp_top_megc",
    version=1,
    frames="onset..offset",
    channels=(),
    size=(1125,),
    dtype="float32",
    params={
        **_PARAMS,
        "time": [TIM, 10],
        "radii": [1, 1, 4],
        "points": 4,
        "sampling": "nearest",
        "mapping": "u2 of 4 points, shared bin last",
        "blocks": "5 x 5, no overlap, edges rounded",
    },
)
def lbp_top_megc(frames: Frames) -> npt.NDArray[np.float32]:
    """Compute LBP-TOP as the baseline of MEGC 2019 is described: radii 1, 1, 4, four neighbours, 5×5 blocks, TIM 10.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.

    Returns
    -------
    float32 ``[1125]``: block by block, in a block XY, XT, YT, 15 bins each.

    Raises
    ------
    ValueError
        If the frames differ in size.

    References
    ----------
    See, Yap, Li, Hong, Wang, "MEGC 2019 - The second facial micro-expressions grand challenge", FG 2019. Its size of
    the crop is not published; here it is :data:`SIZE`.
    """
    volume = tim_bytes(grey_volume(frames, SIZE), 10)
    layers = split_blocks(SIZE[0] - 2, SIZE[1] - 2, 5)
    return lbp_top(volume, (1, 1, 4), 4, uniform_table(4), layers, "nearest").astype(np.float32).ravel()


@feature(
    name="lbp_top_meb",
    version=1,
    frames="onset..offset",
    channels=(),
    size=(11328,),
    dtype="float32",
    params={
        **_PARAMS,
        "time": [TIM, "10 if the clip has fewer frames, else as it is"],
        "radii": [3, 3, 3],
        "points": 8,
        "sampling": "nearest",
        "mapping": "u2 of 8 points, shared bin last",
        "blocks": "8 x 8, overlap 0.7, two blocks per pixel at most, as MEB's code",
    },
)
def lbp_top_meb(frames: Frames) -> npt.NDArray[np.float32]:
    """Compute LBP-TOP with the setting of MEB: radii 3, eight neighbours, 8×8 overlapping blocks.

    Unlike there, the size is fixed (:data:`SIZE`) and histograms are normalised: counts grow with a clip's length.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.

    Returns
    -------
    float32 ``[11328]``: block by block, in a block XY, XT, YT, 59 bins each.

    Raises
    ------
    ValueError
        If the frames differ in size.
    """
    volume = grey_volume(frames, SIZE)
    volume = tim_bytes(volume, 10) if len(volume) < 10 else volume
    layers = overlapping_blocks(SIZE[0] - 6, SIZE[1] - 6, 8, 0.7)
    return lbp_top(volume, (3, 3, 3), 8, uniform_table(8), layers, "nearest").astype(np.float32).ravel()


def lbp_top_atn(frames: Frames, length: int, points: int) -> npt.NDArray[np.float32]:
    """Compute LBP-TOP in the layout of the files that are published with ATN: the whole face is one block.

    There, codes of four neighbours went through the table of eight, so that only bins 0 to 11 are ever filled.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.
    length
        Frames after temporal interpolation.
    points
        Neighbours, 4 or 8; between voxels they are interpolated.

    Returns
    -------
    float32 ``[3, 59]``: planes XY, XT, YT; bin 0 is the one that non-uniform codes share. Rows sum to 1.

    Raises
    ------
    ValueError
        If the frames differ in size.

    References
    ----------
    Peng, Wang, Bi, Shi, Zhou, Chen, "A novel apex-time network for cross-dataset micro-expression recognition",
    ACII 2019.
    """
    volume = tim_bytes(grey_volume(frames, SIZE), length)
    layers = split_blocks(SIZE[0] - 6, SIZE[1] - 6, 1)
    table = uniform_table(8, shared="first")
    return np.asarray(lbp_top(volume, (3, 3, 3), points, table, layers, "bilinear")[0], np.float32)


for _length in (10, 64):
    for _points in (4, 8):
        feature(
            name=f"lbp_top_atn_tim{_length}_p{_points}",
            version=1,
            frames="onset..offset",
            channels=(),
            size=(3, 59),
            dtype="float32",
            params={
                **_PARAMS,
                "time": [TIM, _length],
                "radii": [3, 3, 3],
                "points": _points,
                "sampling": "bilinear",
                "mapping": "u2 of 8 points, shared bin first",
                "blocks": "whole face",
            },
        )(partial(lbp_top_atn, length=_length, points=_points))
