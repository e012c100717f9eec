"""Finding and reading the frames of a clip, by number and inside one root."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_data import sizes
from mer_data.files import refuse_special
from mer_data.problems import BadInput, Problem

IMAGE_SUFFIXES = frozenset({".bmp", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_REGULAR = 4  # frames that show whether numbers follow each other in steps
# What the C libraries, or OpenCV for them, write to file descriptor 2 when they make up for what is damaged.
_DAMAGE = re.compile(r"corrupt|premature|crc error|libpng error|truncated|\[ERROR", re.IGNORECASE)
_LOGGED = re.compile(r"^\[\s*[A-Z]+:\S+\] global \S+ \S+ ")  # before OpenCV's words: the time and a line of its source
_FEWEST = 2**15  # a picture of 16 bits without a value of this size would be dark when it is cut to 8
_LOCK = threading.Lock()
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


def missing_between(numbers: Iterable[int], onset: int, offset: int) -> tuple[int, int]:
    """How many frames are missing between onset and offset, both included, and how many there should be.

    A recording may count in steps of two or more: a regular step of at least four frames is no gap.
    """
    here = sorted(number for number in numbers if onset <= number <= offset)
    step = gcd(*(after - before for before, after in pairwise(here))) if len(here) >= _REGULAR else 1
    expected = (offset - onset) // step + 1
    return max(0, expected - len(here)), expected


def gap(numbers: Iterable[int], onset: int, offset: int) -> str:
    """What :func:`missing_between` found, in words; empty if nothing is missing."""
    missing, expected = missing_between(numbers, onset, offset)
    return f"{missing} of {expected} frames between onset and offset are missing" if missing else ""


def decode(data: bytes, where: str) -> npt.NDArray[np.uint8]:
    """An image file's bytes as uint8 ``[H, W, 3]`` in OpenCV's order (blue, green, red), turned as its EXIF says.

    A damaged JPEG still gives a picture, and only a line on standard error tells that much of it is made up; that line
    is caught. Of pictures of 16 bits the upper 8 are taken, if they are in use.

    Raises
    ------
    BadInput
        If OpenCV cannot read it, if it is damaged or larger than any frame, or if 8 bits would not do; `where` is the
        file to name.
    """
    try:
        sizes.check_picture(data)
    except sizes.TooLarge as error:
        raise BadInput(Problem(where, str(error), _RESTORE)) from None
    image, said = _imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise BadInput(Problem(where, "is not a readable image", _RESTORE))
    if damage := next((line for line in said if _DAMAGE.search(line)), ""):
        raise BadInput(Problem(where, f"is damaged: {_LOGGED.sub('', damage)}", _RESTORE))
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    if image.dtype != np.uint16:
        raise BadInput(Problem(where, f"has values of type {image.dtype}", "convert the frames to 8 bits"))
    if image.max() < _FEWEST:
        what = f"is a picture of 16 bits, of which it uses at most {int(image.max()).bit_length()}"
        raise BadInput(Problem(where, what, "convert the frames to 8 bits, all by the same factor"))
    return np.asarray(_imdecode(data, cv2.IMREAD_COLOR)[0], np.uint8)


def _imdecode(data: bytes, flags: int) -> tuple[npt.NDArray[Any] | None, list[str]]:
    """Decode a picture, and give the lines that the C libraries wrote to file descriptor 2 meanwhile.

    Lines that tell of no damage are written there after all. Threads of this process take turns.
    """
    buffer = np.frombuffer(data, np.uint8)
    with _LOCK:
        aside, kept = _aside(os.getpid()).fileno(), os.dup(2)
        os.dup2(aside, 2)
        try:
            image = cv2.imdecode(buffer, flags) if buffer.size else None
        except cv2.error:
            image = None
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        length = os.lseek(aside, 0, os.SEEK_CUR)
        if not length:
            return image, []
        os.lseek(aside, 0, os.SEEK_SET)
        said = os.read(aside, length)
        os.lseek(aside, 0, os.SEEK_SET)
        os.ftruncate(aside, 0)
    lines = said.decode(errors="replace").splitlines()
    if others := [line for line in lines if not _DAMAGE.search(line)]:
        os.write(2, "".join(f"{line}\n" for line in others).encode())
    return image, lines


@cache
def _aside(process: int) -> IO[bytes]:
    """Where this process lets file descriptor 2 lead while it decodes; a forked child has one of its own."""
    return tempfile.TemporaryFile()  # open as long as the process


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
