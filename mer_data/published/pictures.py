"""Reading the picture files of other projects, strictly: what is damaged or of another kind is said, not repaired."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.frames import decode
from mer_data.problems import BadInput, Problem

Picture = npt.NDArray[np.uint8]
_REMEDY = "restore the file from the original"
_KINDS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}


def read_png(path: Path, where: str, fits: Callable[[int, int], bool], wanted: str) -> Picture | Problem:
    """Read a PNG of 8 bit RGB as uint8 ``[3, H, W]`` in the order red, green, blue, or say what is wrong with it.

    Parameters
    ----------
    path
        The file.
    where
        What to call it in messages.
    fits
        Whether a width and a height are right.
    wanted
        What is expected, for messages: ``a flow map is 28x28``.
    """
    data = _read(path, where)
    if isinstance(data, Problem):
        return data
    # Older decoders fill up a truncated file without a word, so its last chunk is looked for.
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or b"IEND\xaeB`\x82" not in data[-64:]:
        return Problem(where, "is not a whole PNG file", _REMEDY)
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if not fits(width, height) or (depth, colour) != (8, 2):
        kind = f"{width}x{height}, {depth} bit, {_KINDS.get(colour, 'unknown')}"
        return Problem(where, f"is {kind}; {wanted}, 8 bit, RGB", _REMEDY)
    bgr = _decode(data, where)
    return bgr if isinstance(bgr, Problem) else np.ascontiguousarray(bgr[:, :, ::-1].transpose(2, 0, 1))


def read_jpeg(path: Path, where: str, size: tuple[int, int]) -> Picture | Problem:
    """Read a JPEG of a size (height, width) as uint8 ``[H, W, 3]``, blue, green, red, or say what is wrong with it."""
    data = _read(path, where)
    if isinstance(data, Problem):
        return data
    if not data.startswith(b"\xff\xd8\xff") or b"\xff\xd9" not in data[-64:]:
        return Problem(where, "is not a whole JPEG file", _REMEDY)
    bgr = _decode(data, where)
    if isinstance(bgr, Problem) or bgr.shape[:2] == size:
        return bgr
    height, width = bgr.shape[:2]
    return Problem(where, f"is {width}x{height}; {size[1]}x{size[0]} is expected", _REMEDY)


def _read(path: Path, where: str) -> bytes | Problem:
    try:
        return path.read_bytes()
    except OSError as error:
        return Problem(where, f"cannot be read: {error.strerror}", _REMEDY)


def _decode(data: bytes, where: str) -> Picture | Problem:
    try:
        return decode(data, where)
    except BadInput as bad:
        return bad.problems[0]
