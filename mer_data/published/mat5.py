"""Matrices of plain numbers in MATLAB files of version 5; whatever else such a file may hold is only named.

SciPy has a reader of the whole format. It is not used here because on some damaged files it does not raise an error
but ends the process (a bus error in `scipy.io.loadmat`, SciPy 1.17.1). Nothing is executed and no object is
made here, and no more memory is taken than `most` bytes for each variable.

"MAT-File Format", The MathWorks, chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_HEADER_BYTES = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CLASSES = (
    "", "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16", "int32",
    "uint32", "int64", "uint64", "function", "opaque",
)  # fmt: skip
_NUMERIC = range(6, 16)
_PLAIN = frozenset(_CLASSES[number] for number in _NUMERIC)
_COMPLEX_FLAG, _LOGICAL_FLAG = 0x0800, 0x0200


@dataclass(frozen=True)
class Variable:
    """A variable of a MATLAB file.

    Attributes
    ----------
    name
        Empty if the file gives none.
    kind
        MATLAB's word for its class, ``logical`` or ``complex``.
    shape
        Empty for kinds that have none.
    numbers
        float64 of `shape`; None for all that is not a full matrix of real numbers.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    numbers: npt.NDArray[np.float64] | None


def read_variables(data: bytes, most: int) -> list[Variable]:
    """Read the variables of a file's bytes.

    Parameters
    ----------
    data
        The whole file; its text says already that it is of version 5.
    most
        A compressed variable that is larger than this many bytes is refused.

    Raises
    ------
    ValueError
        If the file is damaged, or a variable is too large.
    """
    order = _ORDERS.get(data[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if order is None:
        raise ValueError("the header is cut off")
    found = []
    for type_, content in _elements(data[_HEADER_BYTES:], order):
        parts = [(type_, content)] if type_ != _COMPRESSED else _elements(_unpacked(content, most), order)
        for inner, matrix in parts:
            if inner != _MATRIX:
                raise ValueError(f"an element of type {inner} where a variable should be")
            found.append(_variable(matrix, order))
    return found


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Split bytes into elements: each one's type and content."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("it ends within a tag")
        type_, size = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if type_ >> 16:  # up to four bytes are kept in the tag itself
            type_, size, start = type_ & 0xFFFF, type_ >> 16, at + 4
            if size > 4:
                raise ValueError("a small element of more than four bytes")
        if start + size > len(data):
            raise ValueError("it is cut off")
        yield type_, data[start : start + size]
        at = start + size
        if type_ != _COMPRESSED:
            at += -at % 8


def _unpacked(content: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(content, most)
    except zlib.error as error:
        raise ValueError(f"a compressed variable cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise ValueError("a compressed variable is cut off or too large")
    return data


def _variable(matrix: bytes, order: str) -> Variable:
    if not matrix:
        return Variable("", "double", (0, 0), None)
    parts = _elements(matrix, order)
    (flags,) = _numbers(*next(parts), order, 2)[:1].astype(int).tolist()
    class_ = flags & 0xFF
    if not 0 < class_ < len(_CLASSES):
        raise ValueError(f"a variable of the unknown class {class_}")
    kind = _CLASSES[class_]
    if kind == "opaque":  # has neither shape nor name in the usual places
        return Variable("", kind, (), None)
    rest = [*_taken(parts, 3)]
    if len(rest) < 2:
        raise ValueError("a variable without shape and name")
    shape = tuple(_numbers(*rest[0], order).astype(int).tolist())
    name = rest[1][1].decode("ascii", "replace")
    if class_ in _NUMERIC and flags & (_COMPLEX_FLAG | _LOGICAL_FLAG):
        kind = "complex" if flags & _COMPLEX_FLAG else "logical"
    if kind not in _PLAIN:
        return Variable(name, kind, shape, None)
    if len(rest) < 3 or min(shape, default=-1) < 0:
        raise ValueError(f"{name} has no values or no shape")
    return Variable(name, kind, shape, _numbers(*rest[2], order, math.prod(shape)).reshape(shape, order="F"))


def _taken(parts: Iterator[tuple[int, bytes]], count: int) -> Iterator[tuple[int, bytes]]:
    """Give the first elements only: those behind them may be anything."""
    for part, _ in zip(parts, range(count), strict=False):
        yield part


def _numbers(type_: int, content: bytes, order: str, count: int | None = None) -> npt.NDArray[np.float64]:
    dtype = _DTYPES.get(type_)
    if dtype is None or len(content) % np.dtype(dtype).itemsize:
        raise ValueError(f"numbers of the unknown type {type_}")
    numbers = np.frombuffer(content, f"{order}{dtype}").astype(np.float64)
    if count is not None and len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers where {count} should be")
    return numbers
