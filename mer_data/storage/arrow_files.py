"""Arrays by clip in Arrow IPC files: the form of feature shards and of ledger entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from mer_data import seal
from mer_data.files import read, written_aside
from mer_data.problems import BadInput, Problem

_META = b"mer"
_BATCH_BYTES = 8 << 20
_SMALL_BYTES = 256 << 10  # mapping a file of this size takes several times as long as reading it


def write_table(path: Path, table: pa.Table) -> None:
    """Write a small table as an uncompressed Arrow IPC file with the checksum of its bytes, aside and renamed."""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), seal.KEY: seal.OPEN})
    sink = pa.BufferOutputStream()
    with ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with written_aside(path) as aside:
        aside.write_bytes(seal.sealed(sink.getvalue().to_pybytes()))


def read_table(path: Path, remedy: str, *, whole: bool = False) -> pa.Table:
    """Memory-map a table, or read it if it is small.

    Parameters
    ----------
    path, remedy
        The file, and how to make it anew.
    whole
        Whether to read all of it and compare it with the checksum of :func:`write_table`; an older file has none.

    Raises
    ------
    BadInput
        If the file is missing or damaged.
    """

    def opened() -> pa.Table:
        if not whole and path.stat().st_size >= _SMALL_BYTES:
            with pa.memory_map(str(path)) as file:
                return ipc.open_file(file).read_all()
        data = path.read_bytes()
        is_sealed = whole and seal.check(data)
        table = ipc.open_file(pa.py_buffer(data)).read_all()
        table.validate(full=True)  # else a damaged offset leads outside the file, and the process dies
        if whole and not is_sealed and seal.KEY.encode() in (table.schema.metadata or {}):
            raise seal.BrokenSeal
        return table

    return read(path, opened, remedy)


def write_whole(path: Path, rows: Iterable[tuple[str, npt.NDArray[Any]]], meta: Mapping[str, Any]) -> None:
    """As :func:`write_arrays`, for rows that are few: the file has a checksum over all of its bytes."""
    ids, arrays = zip(*rows, strict=True)
    table = pa.Table.from_batches([_batch(list(ids), list(arrays))])
    write_table(path, table.replace_schema_metadata({_META: json.dumps(meta, ensure_ascii=False)}))


def write_arrays(path: Path, rows: Iterable[tuple[str, npt.NDArray[Any]]], meta: Mapping[str, Any]) -> None:
    """Write clip ids with their arrays, all of one shape and dtype, and a JSON-able mapping; aside and renamed.

    `rows` is consumed in pieces of some megabytes, so it may be larger than memory.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    with ArrayWriter(path, meta) as writer:
        for clip_id, array in rows:
            writer.add(clip_id, array)


class ArrayWriter:
    """A file of :func:`write_arrays` that gets its rows one by one, so that several can be open at a time.

    A context manager: if its body raises or has called :meth:`discard`, nothing is left, else the file gets its name at
    the end. Rows are held until they are some megabytes.

    Parameters
    ----------
    path, meta
        As for :func:`write_arrays`.

    Raises
    ------
    ValueError
        At the end, if there are no rows.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any]) -> None:
        self._path, self._meta = path, meta
        self._ids: list[str] = []
        self._arrays: list[npt.NDArray[Any]] = []
        self._stack = ExitStack()
        self._writer: ipc.RecordBatchFileWriter | None = None
        self.discarded = False

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.discard()
        if self.discarded:
            return
        with self._stack:
            if self._ids:
                self._write()
            if self._writer is None:
                raise ValueError(f"no arrays to write to {self._path}")

    def add(self, clip_id: str, array: npt.NDArray[Any]) -> None:
        """Add a clip's array, which must not be changed afterwards."""
        self._ids.append(clip_id)
        self._arrays.append(array)
        if sum(array.nbytes for array in self._arrays) >= _BATCH_BYTES:
            self._write()

    def discard(self) -> None:
        """Remove what was written; further rows must not come."""
        self.discarded = True
        self._ids, self._arrays = [], []
        with suppress(_Discarded), self._stack:
            raise _Discarded

    def _write(self) -> None:
        batch = _batch(self._ids, self._arrays)
        self._ids, self._arrays = [], []
        if self._writer is None:
            schema = batch.schema.with_metadata({_META: json.dumps(self._meta, ensure_ascii=False)})
            aside = self._stack.enter_context(written_aside(self._path))
            file = self._stack.enter_context(pa.OSFile(str(aside), "wb"))
            self._writer = self._stack.enter_context(ipc.new_file(file, schema))
        self._writer.write_batch(batch)


class _Discarded(Exception):  # noqa: N818 - never leaves this module
    """Tells the open file that it is not wanted."""


def _batch(ids: list[str], arrays: list[npt.NDArray[Any]]) -> pa.RecordBatch:
    # A fresh copy: Arrow refuses the strides that NumPy leaves on axes of length one of a transposed array.
    stacked = np.array(arrays, order="C")
    columns = {
        "clip": pa.array(ids, pa.string()),
        "array": pa.FixedShapeTensorArray.from_numpy_ndarray(stacked),
        "checksum": pa.array(
            [_checksum(clip_id, row) for clip_id, row in zip(ids, stacked, strict=True)], pa.binary(16)
        ),
    }
    return pa.record_batch(columns)


def _checksum(clip_id: str, array: npt.NDArray[Any]) -> bytes:
    """Against damage on disk: half of SHA-256, which processors compute at more than a gigabyte per second."""
    summed = hashlib.sha256(clip_id.encode() + b"\0")
    summed.update(np.ascontiguousarray(array).data)
    return summed.digest()[:16]


def read_arrays(
    path: Path, remedy: str, *, verify: bool = False, whole: bool = False
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Arrays by clip id, and the mapping, that :func:`write_arrays` or :func:`write_whole` wrote.

    The arrays are read-only views of the memory-mapped file.

    Parameters
    ----------
    path, remedy
        The file, and how to make it anew.
    verify
        Whether to compare every array with its checksum, which reads the whole file.
    whole
        Whether to compare all bytes with the checksum of :func:`write_whole`.

    Raises
    ------
    BadInput
        If the file is missing or damaged.
    """
    table = read_table(path, remedy, whole=whole)
    if whole and seal.KEY.encode() in (table.schema.metadata or {}):
        verify = False  # the checksum of the whole was right

    def unpack() -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any], list[bytes]]:
        table.validate(full=True)  # else a damaged offset leads outside the file, and the process dies
        meta = dict(json.loads((table.schema.metadata or {})[_META]))
        views = [view for chunk in table["array"].chunks for view in chunk.to_numpy_ndarray()]
        arrays = dict(zip(table["clip"].to_pylist(), views, strict=True))
        return arrays, meta, table["checksum"].to_pylist() if verify else []

    arrays, meta, sums = read(path, unpack, remedy)
    if verify:
        rows = zip(arrays.items(), sums, strict=True)
        damaged = [clip_id for (clip_id, array), checksum in rows if _checksum(clip_id, array) != checksum]
        if damaged:
            raise BadInput(Problem(f"{path}, clip {damaged[0]}", "is damaged: its checksum is wrong", remedy))
    return arrays, meta
