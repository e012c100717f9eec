"""LBP-TOP: histograms of local binary patterns on the planes XY, XT and YT of a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Setting:
    """A setting of LBP-TOP that somebody published, for frames of :data:`SIZE`.

    Attributes
    ----------
    length
        Frames after temporal interpolation.
    radii, points, sampling
        As for :func:`lbp_codes`.
    mapped, shared
        As ``points`` and ``shared`` of :func:`uniform_table`.
    layers
        Gives the blocks for height and width inside the border; see :func:`lbp_top`.
    blocks
        The same in words.
    keeps_longer
        Whether clips of `length` frames or more stay as they are.
    """

    length: int
    radii: Radii
    points: int
    mapped: int
    layers: Callable[[int, int], list[Layer]]
    blocks: str
    sampling: Sampling = "nearest"
    shared: Literal["first", "last"] = "last"
    keeps_longer: bool = False

    def params(self) -> dict[str, Any]:
        """Name everything that changes the bytes, for the feature's key."""
        kept = f"{self.length} if the clip has fewer frames, else as it is"
        return {
            **working_params(SIZE),
            "code": "neighbour >= centre; XY (x, -y), XT (x, -t), YT (-y, -t)",
            "border": "the radii, removed once from the clip",
            "order": "block by rows, plane XY XT YT, bin",
            "normalisation": "each histogram to sum 1",
            "time": [TIM, kept if self.keeps_longer else self.length],
            "radii": list(self.radii),
            "points": self.points,
            "sampling": self.sampling,
            "mapping": f"u2 of {self.mapped} points, shared bin {self.shared}",
            "blocks": self.blocks,
        }


def lbp_top_of(frames: Frames, setting: Setting, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Compute LBP-TOP of a clip with a published setting.

    Parameters
    ----------
    frames
        All frames from onset to offset, uint8 ``[H, W, 3]`` each, BGR, of one size.
    setting
        Of the codes, the blocks and the time.
    shape
        Of the result.

    Returns
    -------
    float32: block by block, in a block planes XY, XT, YT, and their bins, each histogram of sum 1.

    Raises
    ------
    ValueError
        If the frames differ in size.
    """
    volume = grey_volume(frames, SIZE)
    if len(volume) < setting.length or not setting.keeps_longer:
        volume = tim_bytes(volume, setting.length)
    rx, ry, _ = setting.radii
    layers = setting.layers(SIZE[0] - 2 * ry, SIZE[1] - 2 * rx)
    table = uniform_table(setting.mapped, setting.shared)
    histograms = lbp_top(volume, setting.radii, setting.points, table, layers, setting.sampling)
    return histograms.astype(np.float32).reshape(shape)


def _register(name: str, shape: tuple[int, ...], setting: Setting) -> None:
    feature(
        name=name,
        version=1,
        frames="onset..offset",
        channels=(),
        size=shape,
        dtype="float32",
        params=setting.params(),
    )(partial(lbp_top_of, setting=setting, shape=shape))


# As the baseline of MEGC 2019 is described: See, Yap, Li, Hong, Wang, "MEGC 2019 - The second facial micro-expressions
# grand challenge", FG 2019. Its size of the crop is not published.
_register(
    "lbp_top_megc",
    (1125,),
    Setting(
        length=10,
        radii=(1, 1, 4),
        points=4,
        mapped=4,
        layers=partial(split_blocks, count=5),
        blocks="5 x 5, no overlap, edges rounded",
    ),
)
# As MEB's code. Unlike there, the size is fixed and histograms are normalised: counts grow with a clip's length.
_register(
    "lbp_top_meb",
    (11328,),
    Setting(
        length=10,
        radii=(3, 3, 3),
        points=8,
        mapped=8,
        layers=partial(overlapping_blocks, count=8, overlap=0.7),
        blocks="8 x 8, overlap 0.7, two blocks per pixel at most, as MEB's code",
        keeps_longer=True,
    ),
)
# As the files published with ATN: Peng, Wang, Bi, Shi, Zhou, Chen, "A novel apex-time network for cross-dataset
# micro-expression recognition", ACII 2019. There, codes of four neighbours went through the table of eight, so that
# only bins 0 to 11 are ever filled; bin 0 is the shared one.
for _length in (10, 64):
    for _points in (4, 8):
        _register(
            f"lbp_top_atn_tim{_length}_p{_points}",
            (3, 59),
            Setting(
                length=_length,
                radii=(3, 3, 3),
                points=_points,
                mapped=8,
                layers=partial(split_blocks, count=1),
                blocks="whole face",
                sampling="bilinear",
                shared="first",
            ),
        )
