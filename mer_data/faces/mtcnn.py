"""MTCNN: a face and its five landmarks in a picture, in NumPy, with the weights that the package `mtcnn` brings.

That package is optional (``pip install mer-orchestrator[landmarks]``). Only its files of weights are read: its own code
needs TensorFlow. The cascade's steps and settings are those of facenet-pytorch, which HTNet's authors used.

References
----------
Zhang, Zhang, Li, Qiao, "Joint face detection and alignment using multitask cascaded convolutional networks",
IEEE Signal Processing Letters 23(10), 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[np.float32]

_SMALLEST_FACE, _WINDOW, _STRIDE = 20, 12, 2
_STEP = 0.709  # from one size of the picture to the next
_SURE_ENOUGH = (0.6, 0.7, 0.7)  # for the three networks
_ALIKE = 0.7  # boxes that overlap more are one face


def installed() -> str | None:
    """The version of the package with the weights; None if it is not installed."""
    try:
        return version("mtcnn")
    except PackageNotFoundError:
        return None


def detect(image: npt.NDArray[np.uint8], smallest: int = _SMALLEST_FACE) -> tuple[Array, Array]:
    """Find the faces in a picture, and five landmarks of each.

    Parameters
    ----------
    image
        uint8 ``[H, W, 3]``, red, green, blue.
    smallest
        Side of the smallest face to look for, in pixels; the larger, the sooner it is done.

    Returns
    -------
    Boxes, float32 ``[N, 4]``: left, top, right, bottom; and points (x, y), float32 ``[N, 5, 2]``: left eye, right eye,
    nose, left and right corner of the mouth, as seen in the picture. Both in pixels, the largest face first.

    Raises
    ------
    ModuleNotFoundError
        If the weights are not installed.
    """
    boxes = _propose(image, smallest)
    boxes, _ = _refine(image, boxes, "rnet", 24)
    boxes, points = _refine(image, boxes, "onet", 48)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-area, kind="stable")
    return boxes[order, :4], points[order]


@cache
def _weights(net: str) -> Sequence[Array]:
    import joblib  # type: ignore[import-untyped]

    package = find_spec("mtcnn")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("no package mtcnn")
    folder = Path(package.submodule_search_locations[0])
    weights: Sequence[Array] = joblib.load(folder / "assets" / "weights" / f"{net}.lz4")
    return weights


def _propose(image: npt.NDArray[np.uint8], smallest: int) -> Array:
    """First network: windows that may hold a face, float32 ``[N, 5]`` with their scores, over all sizes."""
    height, width = image.shape[:2]
    scale = _WINDOW / smallest
    found = [np.empty((0, 5), np.float32)]
    while min(height, width) * scale >= _WINDOW:
        small = resample(image, int(height * scale + 1), int(width * scale + 1))
        moves, scores = _windows(_centred(small), _weights("pnet"))
        rows, columns = np.nonzero(scores > _SURE_ENOUGH[0])
        corner = np.stack([columns, rows], axis=1) * _STRIDE
        box = np.concatenate([np.floor((corner + 1) / scale), np.floor((corner + _WINDOW) / scale)], axis=1)
        extent = np.tile(box[:, 2:] - box[:, :2], 2)
        score = scores[rows, columns, None]
        # Copies of one face are dropped by the plain windows first, as the published code does.
        kept = distinct(np.concatenate([box, score], axis=1), 0.5)
        moved = box + moves[rows, columns] * extent
        found.append(np.concatenate([moved, score], axis=1)[kept].astype(np.float32))
        scale *= _STEP
    boxes = np.concatenate(found)
    return _squared(boxes[distinct(boxes, _ALIKE)])


def _refine(image: npt.NDArray[np.uint8], boxes: Array, net: str, side: int) -> tuple[Array, Array]:
    """Second or third network: better boxes, float32 ``[N, 5]``, and the third's points, ``[N, 5, 2]``."""
    last = net == "onet"
    patches = _patches(image, boxes, side)
    if not len(patches):
        return boxes[:0], np.empty((0, 5, 2), np.float32)
    moves, *marks, logits = _features(patches, _weights(net))
    scores = _softmax(logits)
    sure = scores > _SURE_ENOUGH[2 if last else 1]
    boxes, moves, scores = boxes[sure], moves[sure], scores[sure]
    corner, extent = boxes[:, :2], boxes[:, 2:4] - boxes[:, :2] + 1
    points = np.empty((len(boxes), 5, 2), np.float32)
    if last:  # x of all points, then y of all points, in shares of the box
        points = marks[0][sure].reshape(-1, 2, 5).transpose(0, 2, 1) * extent[:, None] + corner[:, None] - 1
    moved = boxes[:, :4] + moves * np.tile(extent, 2)
    boxes = np.concatenate([moved, scores[:, None]], axis=1)
    kept = distinct(boxes, _ALIKE, of_the_smaller=last)
    return (boxes if last else _squared(boxes))[kept], points[kept]


def _windows(image: Array, weights: Sequence[Array]) -> tuple[Array, Array]:
    """Apply the first network to a picture ``[H, W, 3]``: moves ``[h, w, 4]`` and scores ``[h, w]`` of each window."""
    maps = pool(convolve(image[None], weights[:3]), 2)
    maps = convolve(convolve(maps, weights[3:6]), weights[6:9])
    moves, logits = (maps @ weights[at][0, 0] + weights[at + 1] for at in (9, 11))
    return moves[0], _softmax(logits[0])


def _features(patches: Array, weights: Sequence[Array]) -> list[Array]:
    """Apply the second or third network to patches ``[N, S, S, 3]``: all its outputs, ``[N, ...]`` each."""
    maps, layers = patches, [weights[at : at + 3] for at in range(0, len(weights), 3) if weights[at].ndim == 4]
    for index, layer in enumerate(layers):
        maps = convolve(maps, layer)
        if index < 2:
            maps = pool(maps, 3)
        elif index == 2 and len(layers) == 4:
            maps = pool(maps, 2)
    flat = maps.transpose(0, 2, 1, 3).reshape(len(maps), -1)  # the weights count columns before rows
    dense, bias, slope, *heads = weights[3 * len(layers) :]
    hidden = _prelu(flat @ dense + bias, slope)
    return [hidden @ heads[at] + heads[at + 1] for at in range(0, len(heads), 2)]


def convolve(maps: Array, weights: Sequence[Array]) -> Array:
    """Convolve ``[N, H, W, C]`` without a border, and apply the PReLU."""
    kernel, bias, slope = weights
    windows = sliding_window_view(maps, kernel.shape[:2], axis=(1, 2))  # [N, h, w, C, rows, columns]
    return _prelu(np.tensordot(windows, kernel.transpose(2, 0, 1, 3), axes=3) + bias, slope)


def _prelu(values: Array, slope: Array) -> Array:
    return np.maximum(values, 0) + slope * np.minimum(values, 0)


def pool(maps: Array, side: int) -> Array:
    """Maximum of windows, two pixels apart; windows that reach over the border count."""
    rows, columns = (-(size - side) % 2 for size in maps.shape[1:3])
    padded = np.pad(maps, ((0, 0), (0, rows), (0, columns), (0, 0)), constant_values=-np.inf)
    best: Array = sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::2, ::2].max(axis=(-2, -1))
    return best


def _softmax(logits: Array) -> Array:
    """Probability of the second of two classes."""
    scores: Array = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    return scores


def _centred(image: Array) -> Array:
    return ((image - 127.5) / 128).astype(np.float32)


def resample(image: npt.NDArray[np.uint8], height: int, width: int) -> Array:
    """Average the pixels that each new pixel touches, without weights for those at its border."""
    maps = image.astype(np.float64)
    for axis, size in ((0, height), (1, width)):
        old = maps.shape[axis]
        start = np.arange(size) * old // size
        stop = -(-(np.arange(size) + 1) * old // size)
        sums = np.concatenate([np.zeros_like(maps.take([0], axis)), maps.cumsum(axis)], axis)
        count = (stop - start).reshape(-1, *[1] * (2 - axis))
        maps = (sums.take(stop, axis) - sums.take(start, axis)) / count
    return maps.astype(np.float32)


def _patches(image: npt.NDArray[np.uint8], boxes: Array, side: int) -> Array:
    """Cut boxes, whose corners count pixels from 1 and may leave the picture, and resample them; float32."""
    height, width = image.shape[:2]
    patches = []
    for left, top, right, bottom in boxes[:, :4].astype(int):
        part = image[max(top, 1) - 1 : min(bottom, height), max(left, 1) - 1 : min(right, width)]
        # A box that misses the picture is no face; black is what the networks are sure about.
        part = part if part.size else np.zeros((1, 1, 3), np.uint8)
        patches.append(_centred(resample(part, side, side)))
    return np.stack(patches) if patches else np.empty((0, side, side, 3), np.float32)


def _squared(boxes: Array) -> Array:
    """Make boxes square around their centres, by the longer side."""
    centre, extent = (boxes[:, :2] + boxes[:, 2:4]) / 2, boxes[:, 2:4] - boxes[:, :2]
    half = extent.max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half, boxes[:, 4:]], axis=1)


def distinct(boxes: Array, threshold: float, *, of_the_smaller: bool = False) -> npt.NDArray[np.intp]:
    """Non-maximum suppression: the best box of each group that overlaps by more than a threshold, best first.

    The overlap is a share of the union, or of the smaller box.
    """
    order = np.argsort(-boxes[:, 4], kind="stable")
    corner, opposite = boxes[:, :2], boxes[:, 2:4]
    area = np.prod(opposite - corner + 1, axis=1)
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        overlap = np.minimum(opposite[best], opposite[rest]) - np.maximum(corner[best], corner[rest]) + 1
        shared = np.prod(np.maximum(overlap, 0), axis=1)
        whole = np.minimum(area[best], area[rest]) if of_the_smaller else area[best] + area[rest] - shared
        order = rest[shared <= threshold * whole]
    return np.array(kept, np.intp)
