"""Arrays by clip in Arrow IPC files: the form of feature shards and of ledger entries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from mer_data.files import read, written_aside

_META = b"mer"


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


def write_arrays(path: Path, clip_ids: Sequence[str], arrays: npt.NDArray[Any], meta: Mapping[str, Any]) -> None:
    """Write clip ids, their arrays ``[clips, ...]`` and a JSON-able mapping."""
    # A fresh copy: Arrow refuses the strides that NumPy leaves on axes of length one of a transposed array.
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.array(arrays, order="C"))
    table = pa.table({"clip": pa.array(clip_ids, pa.string()), "array": tensor})
    write_table(path, table.replace_schema_metadata({_META: json.dumps(meta, ensure_ascii=False)}))


def read_arrays(path: Path, remedy: str) -> tuple[list[str], npt.NDArray[Any], dict[str, Any]]:
    """What :func:`write_arrays` wrote; the array is a read-only view of the memory-mapped file.

    Raises
    ------
    BadInput
        If the file is missing or damaged.
    """
    table = read_table(path, remedy)

    def unpack() -> tuple[list[str], npt.NDArray[Any], dict[str, Any]]:
        meta = dict(json.loads((table.schema.metadata or {})[_META]))
        return table["clip"].to_pylist(), table["array"].chunk(0).to_numpy_ndarray(), meta

    return read(path, unpack, remedy)  # type: ignore[no-any-return]
