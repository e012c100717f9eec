"""Five points of a face: left eye, right eye, nose, left and right corner of the mouth, as seen in the picture.

They come from a user's sheet (:func:`read_landmarks`), from a detector if one is installed (:func:`find_points`), or
are assumed where they are in an average crop (`FIXED_POINTS`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.faces import mtcnn
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.sheets import Row, read_sheet

Points = npt.NDArray[np.float32]

POINTS = ("left eye", "right eye", "nose", "left mouth", "right mouth")

# Where HTNet's code puts them when no face is found, as shares of the crop's width and height.
FIXED_POINTS: Points = np.array(
    [
        (9.528073, 11.062551),
        (21.396168, 10.919773),
        (15.380184, 17.380562),
        (10.255435, 22.121233),
        (20.583706, 22.25584),
    ],
    np.float32,
) / np.float32(28)

# Which detector looks, in words; part of the identity of features that ask it.
DETECTOR = f"MTCNN, weights of mtcnn {mtcnn.installed()}" if mtcnn.installed() else "none installed"

_MARK = "mark the frames that are imported, or scale the points"
_SIZE = {"width": ("width",), "height": ("height",)}
_KEYS = {"subject": ("subject",), "clip": ("clip", "name", "filename")}
_COORDINATES = {f"{point} {axis}": (f"{point}_{axis}".replace(" ", "_"),) for point in POINTS for axis in "xy"}


def find_points(image: npt.NDArray[np.uint8]) -> Points | None:
    """Find the five points of the largest face.

    Parameters
    ----------
    image
        uint8 ``[H, W, 3]``, BGR.

    Returns
    -------
    float32 ``[5, 2]``, x and y in pixels; None if there is no face, or no detector is installed (see `DETECTOR`).
    """
    import cv2  # who looks at results waits for no library of pictures

    if mtcnn.installed() is None:
        return None
    boxes, points = mtcnn.detect(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
    return points[0] if len(boxes) else None


SizeOf = Callable[[Clip], tuple[int, int] | None]


def read_landmarks(
    path: Path, clips: Sequence[Clip], size_of: SizeOf = lambda clip: None
) -> dict[str, tuple[float, ...]]:
    """Read the landmarks of clips from a sheet.

    Parameters
    ----------
    path
        An .xlsx, .xls or .csv file with the columns subject, clip and ``left_eye_x``, ``left_eye_y``, ``right_eye_x``,
        ``nose_x``, ``left_mouth_x``, ``right_mouth_x`` and so on, in pixels of the uncropped onset frame; left and
        right as seen in the picture. A subject is written with its dataset (``casme2/sub01``) or without. It may have
        the columns width and height: of the picture that the points were marked in.
    clips
        The clips of the dataset. The sheet need not have all of them.
    size_of
        Gives width and height of a clip's onset frame; None if there is no telling.

    Returns
    -------
    Clip id to ten numbers: x and y of each of `POINTS`.

    Raises
    ------
    BadInput
        With every row whose clip is unknown or listed before, and every cell that is not a number from 0, and every
        face that stands on its head, has left and right exchanged, lies outside its picture, or was marked in a
        picture of another size.
    """
    sheet = read_sheet(path, {**_KEYS, **_COORDINATES}, _SIZE)
    known = {(subject, clip.name): clip.id for clip in clips for subject in _names_of(clip)}
    clip_of = {clip.id: clip for clip in clips}
    places: defaultdict[str, list[str]] = defaultdict(list)
    problems: list[Problem] = []
    landmarks: dict[str, tuple[float, ...]] = {}
    for row in sheet.rows:
        clip_id = known.get((row["subject"], row["clip"]))
        if clip_id is None:
            name = f"{row['subject']}/{row['clip']}"
            near = did_you_mean(name, ["/".join(key) for key in known]) if len(known) < 5000 else ""
            problems.append(Problem(row.at(), f"no clip {name!r} in this dataset", near))
        elif places[clip_id]:
            problems.append(Problem(row.at(), f"{clip_id} is in {places[clip_id][0]} too", "keep one of them"))
        try:
            numbers = _numbers(row)
        except BadInput as error:
            problems += error.problems
        else:
            if clip_id is not None:
                landmarks[clip_id] = numbers
                problems += _beside(row, numbers, size_of(clip_of[clip_id]))
        if clip_id is not None:
            places[clip_id].append(f"row {row.number}")
    raise_all(problems)
    return landmarks


def outside_of(points: npt.NDArray[np.floating], size: tuple[int, int]) -> str:
    """What is wrong with points ``[N, 2]`` outside a picture of a width and height, in words; empty if none is."""
    x, y = points.max(0).tolist()
    if x < size[0] and y < size[1]:
        return ""
    return f"its points reach to x {x:g}, y {y:g}, and its onset frame is {size[0]}x{size[1]}"


def _beside(row: Row, numbers: Sequence[float], size: tuple[int, int] | None) -> list[Problem]:
    """What is wrong with points for a picture of this size."""
    if size is None:
        return []
    told = [row["width"], row["height"]]
    if all(told) and told != [str(side) for side in size]:
        what = f"was marked in a picture of {told[0]}x{told[1]}, and the clip's onset frame is {size[0]}x{size[1]}"
        return [Problem(row.at(), what, _MARK)]
    outside = outside_of(np.array(numbers).reshape(5, 2), size)
    return [Problem(row.at(), outside, _MARK)] if outside else []


def _names_of(clip: Clip) -> tuple[str, str]:
    return clip.subject, clip.subject.removeprefix(f"{clip.dataset}/")


def _numbers(row: Row) -> tuple[float, ...]:
    """The ten numbers of a row, or all that is wrong with them."""
    numbers = tuple(_number(row[column]) for column in _COORDINATES)
    raise_all(
        Problem(row.at(column), f"{row[column]!r} is not a number from 0", "write pixels")
        for column, number in zip(_COORDINATES, numbers, strict=True)
        if number is None
    )
    points = np.array(numbers, np.float64).reshape(5, 2)
    if points[0, 0] >= points[1, 0] or points[3, 0] >= points[4, 0]:
        raise BadInput(Problem(row.at(), "has left not to the left of right", "left and right are the picture's"))
    if points[:2, 1].mean() >= points[3:, 1].mean():
        raise BadInput(Problem(row.at(), "has the mouth not below the eyes", "y counts downwards from the top"))
    return tuple(points.ravel().tolist())


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
