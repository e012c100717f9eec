"""A checksum inside a file, over all of its bytes.

A form that has room for a text (JSON, the metadata of Arrow and of safetensors) takes :data:`OPEN` under the key
:data:`KEY`; :func:`sealed` then puts SHA-256 there, computed over the file with OPEN in its place. A file without
any is of an older version of this program, and is taken as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

KEY = "seal"
_MARK = b"mer-sha256:"
_LETTERS = 64
_BLANK = b"0" * _LETTERS
_HEX = frozenset(b"0123456789abcdef")
OPEN = (_MARK + _BLANK).decode()


class BrokenSeal(ValueError):  # noqa: N818 - a finding about the file
    """Bytes of a file have changed since it was written."""


def sealed(data: bytes) -> bytes:
    """The same bytes with their checksum in each place that is open for it."""
    return data.replace(OPEN.encode(), _MARK + _sum(data).encode())


def check(data: bytes, *, expected: bool = False) -> bool:
    """Compare bytes with the checksum among them.

    Parameters
    ----------
    data
        The whole file.
    expected
        Whether it says that it has one: then it is damaged if none is found.

    Returns
    -------
    Whether there was one.

    Raises
    ------
    BrokenSeal
        If it is another one.
    """
    found = {data[at : at + _LETTERS] for at in _places(data)}
    wrong = found != {_sum(data).encode()} if found else expected
    if wrong:
        raise BrokenSeal
    return bool(found)


def _places(data: bytes) -> Iterator[int]:
    """Where checksums begin."""
    at = data.find(_MARK)
    while at >= 0:
        start = at + len(_MARK)
        letters = data[start : start + _LETTERS]
        if len(letters) == _LETTERS and _HEX.issuperset(letters):
            yield start
        at = data.find(_MARK, start)


def _sum(data: bytes) -> str:
    summed, view, before = hashlib.sha256(), memoryview(data), 0
    for at in _places(data):
        summed.update(view[before:at])
        summed.update(_BLANK)
        before = at + _LETTERS
    summed.update(view[before:])
    return summed.hexdigest()
