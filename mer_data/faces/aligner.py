"""From a clip's onset frame to the transform that every frame of the clip is given; see :mod:`~.alignment`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.faces import mtcnn
from mer_data.faces.alignment import AlignSpec
from mer_data.faces.finder import Face, face_of_points, find_face
from mer_data.faces.landmarks import Points, outside_of
from mer_data.problems import BadInput, Problem

Image = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]

_NO_DETECTOR = (
    'no detector of faces is installed, and its points are in no sheet (pip install "mer-orchestrator[landmarks]", or '
    "import with --landmarks FILE; `align: none` takes whole frames)"
)
_NO_FACE = "mark its five points in a sheet and import with --landmarks FILE, or leave the clip out"
_RIM = 4  # pixels around the part of a frame that an aligned frame is made of
# What hardly moves in an expression: bridge of the nose, outer and inner corner of each eye; in eye distances from the
# middle between the eyes, along and across the line between them.
_RIGID = ((0.0, 0.12), (-0.78, 0.0), (-0.27, 0.0), (0.27, 0.0), (0.78, 0.0))
_RIGID_RADIUS = 0.16
_STEPS = 30
_STILL = 1e-3  # pixels


@dataclass(frozen=True)
class Aligner:
    """Aligns the frames of one clip.

    Attributes
    ----------
    spec
        What is done.
    face
        The face in the onset frame, in pixels of that frame.
    affine
        float64 ``[2, 3]``: from (x, y, 1) of a frame to (x, y) of the aligned frame.
    onset
        The aligned onset frame in grey, where each frame is compared with it.
    """

    spec: AlignSpec
    face: Face
    affine: Affine
    onset: npt.NDArray[np.float32] | None = None

    @property
    def landmarks(self) -> Points:
        """The five points in pixels of the aligned frame, float32 ``[5, 2]``."""
        return np.asarray(self.face.points @ self.affine[:, :2].T + self.affine[:, 2], np.float32)

    def apply(self, frame: Image) -> Image:
        """Align a frame of the clip, uint8 ``[H, W, 3]``; all frames have the onset's size."""
        aligned = warp(frame, self.affine, self.spec.size)
        if self.onset is None:
            return aligned
        shift = shift_of(self.onset, _grey(aligned), rigid_parts(self.landmarks, self.spec.size))
        moved = self.affine - np.array([[0, 0, shift[0]], [0, 0, shift[1]]])
        return warp(frame, moved, self.spec.size)  # from the frame itself: resampled once


def make_aligner(spec: AlignSpec, onset: Image, marked: Sequence[float] | None, where: str) -> Aligner:
    """Find what a clip's frames are to be given.

    Parameters
    ----------
    spec
        What is to be done; not ``none``.
    onset
        The onset frame, uint8 ``[H, W, 3]``, BGR.
    marked
        The clip's points from a sheet, ten numbers in pixels of this frame; None to ask the detector.
    where
        The file of the onset frame, for messages.

    Raises
    ------
    BadInput
        If there is no face, no detector, or a point lies outside the frame.
    """
    face = _find(onset, where) if marked is None else _marked(onset, marked, where)
    affine = _square(face, spec) if not spec.template else similarity(face.points, np.array(spec.template))
    aligner = Aligner(spec, face, affine)
    if spec.per_frame == "nothing":
        return aligner
    return Aligner(spec, face, affine, _grey(warp(onset, affine, spec.size)))


def similarity(points: Points, template: npt.NDArray[np.floating]) -> Affine:
    """The turn, scale and shift that bring points ``[N, 2]`` nearest to a template, in the sense of least squares.

    As complex numbers, a transform without reflection is ``z -> a z + b`` (Umeyama 1991, in two dimensions).
    """
    z, w = (p[:, 0].astype(np.float64) + 1j * p[:, 1].astype(np.float64) for p in (points, template))
    a = np.vdot(z - z.mean(), w - w.mean()) / np.vdot(z - z.mean(), z - z.mean())
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(frame: Image, affine: Affine, size: tuple[int, int]) -> Image:
    """Resample a frame, uint8 ``[H, W, C]``, into width and height `size`.

    Where it is made smaller by two or more, it is first reduced by a whole factor with an area filter: bicubic
    interpolation alone would alias. Beyond the frame its edge is repeated.
    """
    factor = max(1, int(1 / np.sqrt(abs(np.linalg.det(affine[:, :2])))))
    part, left, top = _part(frame, affine, size, factor)
    if factor > 1:
        height, width = part.shape[:2]
        part = np.asarray(cv2.resize(part, (width // factor, height // factor), interpolation=cv2.INTER_AREA), np.uint8)
    # A pixel x of the reduced part has its centre at factor * x + (factor - 1) / 2 of the part.
    to_frame = np.array([[factor, 0, left + (factor - 1) / 2], [0, factor, top + (factor - 1) / 2], [0, 0, 1]])
    matrix = affine @ to_frame
    aligned = cv2.warpAffine(part, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(aligned, np.uint8)


def _part(frame: Image, affine: Affine, size: tuple[int, int], factor: int) -> tuple[Image, int, int]:
    """The part of a frame that an aligned frame is made of, its sides multiples of a factor; and its left and top."""
    corners = np.array([(0, 0), (size[0], 0), (0, size[1]), size], np.float64)
    there = (corners - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    limit = np.array(frame.shape[1::-1])
    low = np.clip(np.floor(there.min(0)) - _RIM * factor, 0, limit - factor).astype(int)
    high = np.clip(np.ceil(there.max(0)) + _RIM * factor, low + factor, limit).astype(int)
    high = low + (high - low) // factor * factor
    return np.ascontiguousarray(frame[low[1] : high[1], low[0] : high[0]]), int(low[0]), int(low[1])


def rigid_parts(landmarks: Points, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """How much each pixel ``[H, W]`` belongs to what hardly moves in an expression, 0 to 1; of aligned points."""
    middle, along = landmarks[:2].mean(0), landmarks[1] - landmarks[0]
    across = np.array([-along[1], along[0]])
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    weight = np.zeros_like(x)
    sigma = _RIGID_RADIUS * float(np.linalg.norm(along)) / 2
    for forth, down in _RIGID:
        at = middle + forth * along + down * across
        weight = np.maximum(weight, np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2)))
    return np.asarray(weight, np.float32)


def shift_of(
    before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]
) -> tuple[float, float]:
    """By how many pixels (x, y) a picture ``[H, W]`` is shifted against another, to a hundredth or so.

    Phase correlation finds the shift to about a pixel, then Gauss-Newton steps minimise the weighted squared
    difference (Lucas and Kanade, "An iterative image registration technique", IJCAI 1981); brightness is left out.
    """
    rows, columns = (np.flatnonzero(weight.max(axis) > 0.1) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    window = cv2.createHanningWindow((before[box].shape[1], before[box].shape[0]), cv2.CV_32F)
    (start_x, start_y), sure = cv2.phaseCorrelate(before[box].copy(), after[box].copy(), window)
    shift = np.array([start_x, start_y]) if sure > 0.1 else np.zeros(2)
    slope_y, slope_x = np.gradient(before)
    slopes = np.stack([slope_x, slope_y])
    normal = np.einsum("ihw,jhw,hw->ij", slopes, slopes, weight)
    for _ in range(_STEPS):
        there, size = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]]), (before.shape[1], before.shape[0])
        moved = cv2.warpAffine(after, there, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        difference = moved - before
        difference -= np.average(difference, weights=weight)
        step = np.linalg.solve(normal, np.einsum("ihw,hw,hw->i", slopes, difference, weight))
        shift = shift - step
        if np.abs(step).max() < _STILL:
            break
    return float(shift[0]), float(shift[1])


def _find(onset: Image, where: str) -> Face:
    if mtcnn.installed() is None:
        raise BadInput(Problem(where, _NO_DETECTOR))
    face = find_face(onset)
    if face is None:
        raise BadInput(Problem(where, "no face is found in the clip's onset frame", _NO_FACE))
    return face


def _marked(onset: Image, marked: Sequence[float], where: str) -> Face:
    points = np.asarray(marked, np.float32).reshape(5, 2)
    if outside := outside_of(points, (onset.shape[1], onset.shape[0])):
        raise BadInput(Problem(where, outside, "mark the points on the frames that are imported, and import again"))
    return face_of_points(points)


def _square(face: Face, spec: AlignSpec) -> Affine:
    """To a square around the box of a face; the box may reach beyond the frame."""
    left, top, right, bottom = face.box
    side = max(right - left, bottom - top) * (1 + 2 * spec.margin)
    scale = spec.size[0] / side
    corner = np.array([(left + right - side) / 2, (top + bottom - side) / 2])
    return np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])


def _grey(image: Image) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)
