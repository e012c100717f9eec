"""How large what a file holds would be, told by its first bytes: looked at before any memory is taken for it."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterator

# 8K pictures are smaller. Frames of the datasets have a tenth of a megapixel to two.
MOST_PIXELS = 34_000_000
MOST_PICTURE_BYTES = 128 << 20
MOST_CELLS = 2_000_000
MOST_SHEET_BYTES = 16 << 20
_MOST_UNPACKED = 64 << 20
_PIECE = 1 << 20
_LONGEST_TAG = 256
# A cell that is not empty, as worksheets of .xlsx have it: an empty one that was only coloured has no content.
_CELL = re.compile(rb'<c\b[^>]*?\br="([A-Z]{1,3})(\d{1,7})"[^>]*(?<!/)>')
_SHEETS = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_STARTS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


class TooLarge(ValueError):  # noqa: N818 - it says what is wrong: the content
    """Content that is larger than anything that the field has; the text says how large."""


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the bytes of a PNG, JPEG or BMP tell; None where they tell none."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if data.startswith(b"BM") and len(data) >= 26:
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(width), abs(height)
    return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind in _STARTS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        alone = kind == 0xFF or kind == 0x01 or 0xD0 <= kind <= 0xD8
        at += 1 if kind == 0xFF else 2 if alone else 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def check_picture(data: bytes) -> None:
    """Refuse a picture of more than :data:`MOST_PIXELS`.

    Raises
    ------
    TooLarge
        If it is one.
    """
    size = picture_size(data)
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        raise TooLarge(f"is {size[0]}x{size[1]}, more than {MOST_PIXELS:,} pixels")


def check_text_table(text: str, separator: str) -> None:
    """Refuse a table of more than :data:`MOST_CELLS` cells in a text.

    Raises
    ------
    TooLarge
        If it is one.
    """
    cells = text.count(separator) + text.count("\n")
    if cells > MOST_CELLS:
        raise TooLarge(f"has about {cells:,} cells, more than {MOST_CELLS:,}")


def check_workbook(data: bytes) -> None:
    """Refuse a workbook that would take more memory than any annotation: a zip bomb, or a cell far from all others.

    Parameters
    ----------
    data
        The bytes of a file; only those of an .xlsx are looked into.

    Raises
    ------
    TooLarge
        If it is one.
    ValueError
        If it is a zip and no .xlsx, or is damaged.
    """
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            entries = packed.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > _MOST_UNPACKED:
                raise TooLarge(f"has {len(data):,} bytes and would have {unpacked:,} unpacked")
            if not any(_SHEETS.fullmatch(entry.filename) for entry in entries):
                raise ValueError("it is a zip without worksheets of an .xlsx")
            for entry in entries:
                with packed.open(entry) as file:
                    _check_entry(entry.filename, iter(lambda: file.read(_PIECE), b""))
    except ValueError:
        raise
    except Exception as error:  # whatever damage makes the parser say
        raise ValueError("its zip is damaged") from error


def _check_entry(name: str, pieces: Iterator[bytes]) -> None:
    """Read an entry to its end, which compares its checksum and its size, and find the last cell of a worksheet."""
    last_row, last_column, tail = 0, 0, b""
    for piece in pieces:
        text = tail + piece
        for letters, digits in _CELL.findall(text) if _SHEETS.fullmatch(name) else ():
            last_row, last_column = max(last_row, int(digits)), max(last_column, _column(letters))
        tail = text[-_LONGEST_TAG:]
    if last_row * last_column > MOST_CELLS:
        raise TooLarge(f"{name} has a cell in row {last_row} and one in column {last_column}, far from the others")


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
