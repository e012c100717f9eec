"""Arrays by clip in Arrow IPC files: the form of feature shards and of ledger entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from mer_data.files import read, written_aside
from mer_data.problems import BadInput, Problem

_META = b"mer"
_BATCH_BYTES = 8 << 20


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as an uncompressed Arrow IPC file, aside and renamed."""
    with (
        written_aside(path) as aside,
        pa.OSFile(str(aside), "wb") as file,
        ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)


def read_table(path: Path, remedy: str) -> pa.Table:
    """Memory-map a table.

    Raises
    ------
    BadInput
        If the file is missing or damaged; `remedy` tells how to make it anew.
    """

    def mapped() -> pa.Table:
        with pa.memory_map(str(path)) as file:
            return ipc.open_file(file).read_all()

    return read(path, mapped, remedy)


def write_arrays(path: Path, rows: Iterable[tuple[str, npt.NDArray[Any]]], meta: Mapping[str, Any]) -> None:
    """Write clip ids with their arrays, all of one shape and dtype, and a JSON-able mapping; aside and renamed.

    `rows` is consumed in pieces of some megabytes, so it may be larger than memory.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    batches = _batches(rows)
    first = next(batches, None)
    if first is None:
        raise ValueError(f"no arrays to write to {path}")
    schema = first.schema.with_metadata({_META: json.dumps(meta, ensure_ascii=False)})
    with (
        written_aside(path) as aside,
        pa.OSFile(str(aside), "wb") as file,
        ipc.new_file(file, schema) as writer,
    ):
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def _batches(rows: Iterable[tuple[str, npt.NDArray[Any]]]) -> Iterator[pa.RecordBatch]:
    ids: list[str] = []
    arrays: list[npt.NDArray[Any]] = []
    for clip_id, array in rows:
        ids.append(clip_id)
        arrays.append(array)
        if sum(one.nbytes for one in arrays) >= _BATCH_BYTES:
            yield _batch(ids, arrays)
            ids, arrays = [], []
    if ids:
        yield _batch(ids, arrays)


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


def read_arrays(path: Path, remedy: str, *, verify: bool = False) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Arrays by clip id, and the mapping, that :func:`write_arrays` wrote.

    The arrays are read-only views of the memory-mapped file.

    Parameters
    ----------
    path, remedy
        The file, and how to make it anew.
    verify
        Whether to compare every array with its checksum, which reads the whole file.

    Raises
    ------
    BadInput
        If the file is missing or damaged.
    """
    table = read_table(path, remedy)

    def unpack() -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        meta = dict(json.loads((table.schema.metadata or {})[_META]))
        views = [view for chunk in table["array"].chunks for view in chunk.to_numpy_ndarray()]
        return dict(zip(table["clip"].to_pylist(), views, strict=True)), meta

    arrays, meta = read(path, unpack, remedy)
    if verify:
        sums = zip(arrays.items(), table["checksum"].to_pylist(), strict=True)
        damaged = [clip_id for (clip_id, array), checksum in sums if _checksum(clip_id, array) != checksum]
        if damaged:
            raise BadInput(Problem(f"{path}, clip {damaged[0]}", "is damaged: its checksum is wrong", remedy))
    return arrays, meta
