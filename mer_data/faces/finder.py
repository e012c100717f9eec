"""Where the face is in a whole picture: its box and five points, found small first and then once more from near by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.faces import mtcnn
from mer_data.faces.landmarks import Points

Image = npt.NDArray[np.uint8]

_LONG_SIDES = (340, 1000)  # pixels at most; the second is for faces that are small in the picture
_SMALLEST = 26  # pixels of a reduced picture
_NEAR = 200  # pixels at most; longer side of the face when it is looked at from near by
_AROUND = 0.4  # of the face's longer side, on each side
_RIVAL = 0.25  # a second face of less than this share of the first one's area is passed over


@dataclass(frozen=True)
class Face:
    """A face in a picture.

    Attributes
    ----------
    box
        Left, top, right, bottom in pixels.
    points
        float32 ``[5, 2]``, x and y in pixels: left eye, right eye, nose, left and right corner of the mouth.
    rivals
        How many other faces of about this size there are.
    """

    box: tuple[float, float, float, float]
    points: Points
    rivals: int = 0

    @property
    def turned(self) -> float:
        """By how many degrees the line between the eyes is turned, clockwise in the picture."""
        x, y = (self.points[1] - self.points[0]).tolist()
        return float(np.degrees(np.arctan2(y, x)))

    @property
    def eye_distance(self) -> float:
        """Pixels between the eyes."""
        return float(np.linalg.norm(self.points[1] - self.points[0]))


def find_face(image: Image) -> Face | None:
    """Find the largest face.

    Parameters
    ----------
    image
        uint8 ``[H, W, 3]``, BGR, of any size.

    Returns
    -------
    The face; None if there is none.

    Raises
    ------
    ModuleNotFoundError
        If no detector is installed.
    """
    for small, scale, left, top in _views(image):
        boxes, points = _detect(small, _SMALLEST)
        if len(boxes):
            area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
            rivals = int((area[1:] >= _RIVAL * area[0]).sum())
            box = boxes[0] / scale + np.array([left, top, left, top], np.float32)
            return _from_near(image, Face(_sides(box), points[0] / scale + np.array([left, top], np.float32), rivals))
    return None


def face_of_points(points: Points) -> Face:
    """A face of which only the points are known, with the box that the detector gives such a face.

    On photographs its boxes are about 2.7 times as high, and 2.2 times as wide, as the mouth is below the eyes.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = float(np.linalg.norm(mouth - eyes))
    centre = (eyes + mouth) / 2 - 0.05 * (mouth - eyes)
    half = np.array([1.1, 1.35]) * down
    return Face(_sides(np.concatenate([centre - half, centre + half])), points.astype(np.float32))


def _views(image: Image) -> Iterator[tuple[Image, float, int, int]]:
    """The picture reduced; with a border, for a face that fills it; less reduced. Each with scale, left and top."""
    longest = max(image.shape[:2])
    for index, side in enumerate(_LONG_SIDES):
        if index and longest <= _LONG_SIDES[index - 1]:
            return
        small, scale = _reduced(image, longest / side)
        yield small, scale, 0, 0
        if not index:
            border = longest // 3
            edge = round(border * scale)
            framed = cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
            yield np.asarray(framed, np.uint8), scale, -border, -border


def _from_near(image: Image, face: Face) -> Face:
    """The same face, found once more in its surroundings, where it has a good size for the detector."""
    left, top, right, bottom = face.box
    longer = max(right - left, bottom - top)
    low = np.maximum(np.floor(np.array([left, top]) - _AROUND * longer), 0).astype(int)
    high = np.ceil(np.array([right, bottom]) + _AROUND * longer).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    near, scale = _reduced(part, longer / _NEAR)
    if scale == 1 or not near.size:
        return face  # it was seen at its own size already
    boxes, points = _detect(near, _NEAR // 3)
    if not len(boxes):
        return face
    corner = low.astype(np.float32)
    return Face(_sides(boxes[0] / scale + np.tile(corner, 2)), points[0] / scale + corner, face.rivals)


def _detect(image: Image, smallest: int) -> tuple[mtcnn.Array, mtcnn.Array]:
    return mtcnn.detect(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), smallest)


def _reduced(image: Image, times: float) -> tuple[Image, float]:
    """A picture made smaller by the next whole factor, which is a tenth of the work of any other; and its scale."""
    factor = max(1, int(np.ceil(times)))
    height, width = (side // factor for side in image.shape[:2])
    if factor == 1 or not height or not width:
        return image, 1.0
    whole = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8), 1 / factor


def _sides(box: npt.NDArray[np.floating]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(side) for side in box)
    return left, top, right, bottom
