"""Finding and reading the frames of a clip, by number and inside one root."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mer_data import sizes
from mer_data.files import refuse_special
from mer_data.problems import BadInput, Problem

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png"})
_RESTORE = "restore the file from the original"
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")


def inside(root: Path, relative: str) -> Path:
    """The path `relative` under `root`, after following links.

    Raises
    ------
    BadInput
        If it leaves the root, by ``..``, an absolute path or a link.
    """
    try:
        path = (root / relative).resolve()
    except (ValueError, OSError, RuntimeError):  # a NUL in the name, or links that run in a circle
        path = None
    if path is None or not path.is_relative_to(root.resolve()):
        raise BadInput(Problem(str(root), f"{relative!r} leads out of this folder", "use a path inside it"))
    return path


def frame_number(file_name: str) -> int | None:
    """The last run of digits in a file's stem (``reg_img46.jpg`` -> 46), or None.

    Frame names are padded in some datasets and not in others, so frames are ordered and found by this number,
    never by text.
    """
    found = _LAST_NUMBER.search(Path(file_name).stem)
    return int(found.group(1)) if found else None


def list_frames(folder: Path, root: Path | None = None) -> dict[int, Path]:
    """The image files of a folder by frame number, in ascending order.

    Parameters
    ----------
    folder
        The folder of the frames.
    root
        What no link may lead out of; the folder itself if None.

    Raises
    ------
    BadInput
        If the folder is missing, two files have one number, one is no file, or one is a link that leads out of `root`.
    """
    if not folder.is_dir():
        raise BadInput(Problem(str(folder), "no such folder of frames"))
    frames: dict[int, Path] = {}
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path, number = folder / entry.name, frame_number(entry.name)
        if number is None or path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if number in frames:
            raise BadInput(
                Problem(str(folder), f"{frames[number].name} and {path.name} are both frame {number}", "keep one")
            )
        if entry.is_symlink():
            inside(root or folder, str(path.absolute()))
        if not entry.is_file():  # reading a pipe would never end
            raise BadInput(Problem(str(path), "is no file, or a link that leads nowhere", "restore it"))
        frames[number] = path
    return dict(sorted(frames.items()))


def frame_bytes(path: Path) -> bytes:
    """The bytes of a frame's file.

    Raises
    ------
    BadInput
        If it is no file, or is larger than any frame.
    OSError
        If it cannot be read.
    """
    refuse_special(path, _RESTORE)
    size = path.stat().st_size
    if size > sizes.MOST_PICTURE_BYTES:
        raise BadInput(Problem(str(path), f"has {size:,} bytes, more than any frame", _RESTORE))
    return path.read_bytes()


def pick(frames: Mapping[int, Path], number: int, folder: str) -> Path:
    """The file of one frame.

    Raises
    ------
    BadInput
        If the number is not among `frames`; the message gives the range that is there.
    """
    if number not in frames:
        have = f"it has {min(frames)} to {max(frames)}" if frames else "it has no frames"
        raise BadInput(Problem(folder, f"no frame {number}", have))
    return frames[number]


def decode(data: bytes, where: str) -> npt.NDArray[np.uint8]:
    """An image file's bytes as uint8 ``[H, W, 3]`` in OpenCV's order (blue, green, red).

    Raises
    ------
    BadInput
        If OpenCV cannot read it, or it is larger than any frame; `where` is the file to name.
    """
    try:
        sizes.check_picture(data)
    except sizes.TooLarge as error:
        raise BadInput(Problem(where, str(error), _RESTORE)) from None
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
    except cv2.error:
        image = None
    if image is None:
        raise BadInput(Problem(where, "is not a readable image", _RESTORE))
    return np.asarray(image, np.uint8)


def crop(image: npt.NDArray[np.uint8], box: tuple[int, int, int, int] | None, where: str) -> npt.NDArray[np.uint8]:
    """The part of an image inside a box (left, top, width, height); the image itself without a box.

    Raises
    ------
    BadInput
        If the box leaves the image; `where` is the file to name.
    """
    if box is None:
        return image
    left, top, width, height = box
    rows, columns = image.shape[:2]
    if left + width > columns or top + height > rows:
        what = f"is {columns}x{rows}, and the clip's face box reaches to {left + width}x{top + height}"
        raise BadInput(Problem(where, what, "import the dataset again"))
    return np.ascontiguousarray(image[top : top + height, left : left + width])
