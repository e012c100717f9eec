"""A feature of a dataset as it lies in the store: a shard per subject, memory-mapped, gathered clip by clip."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_data.features.spec import shape_of
from mer_data.files import read, sealed_bytes
from mer_data.problems import BadInput, Problem
from mer_data.storage.arrow_files import read_arrays

_KEY_LETTERS = 16
_RECOMPUTE = "import the dataset again"


@dataclass(frozen=True)
class Shard:
    """One subject's part of a feature: its file, its key, and how many clips it holds."""

    subject: str
    key: str
    clips: int

    @property
    def file(self) -> str:
        """File name in the feature's folder."""
        return f"{self.subject.replace('/', '~')}.{self.key[:_KEY_LETTERS]}.arrow"


def read_shard(
    path: Path, shard: Shard, shape: tuple[int, ...], dtype: npt.DTypeLike, *, verify: bool = False
) -> dict[str, npt.NDArray[Any]]:
    """Map a shard's file: each clip's array, a read-only view.

    Parameters
    ----------
    path, shard
        The file, and what it should hold.
    shape, dtype
        Of one clip's array.
    verify
        Whether to compare every array with its checksum, which reads the whole file.

    Raises
    ------
    BadInput
        If the file is missing, damaged, or another one.
    """
    arrays, meta = read_arrays(path, _RECOMPUTE, verify=verify)
    forms = {(array.shape, array.dtype) for array in arrays.values()}
    if (meta.get("key"), len(arrays), forms) != (shard.key, shard.clips, {(shape, np.dtype(dtype))}):
        raise BadInput(Problem(str(path), "is not the file that it should be", _RECOMPUTE))
    return arrays


class Feature:
    """A feature of a dataset, opened for reading. Shards are memory-mapped when first used.

    Parameters
    ----------
    folder
        The feature's folder in the store.
    fetch
        Called with the name of a shard that is not in the folder, to bring it there.
    """

    def __init__(self, folder: Path, fetch: Callable[[str], None] | None = None) -> None:
        self._folder, self._fetch = folder, fetch
        path = folder / "manifest.json"
        read(path, lambda: self._parse(json.loads(sealed_bytes(path))), _RECOMPUTE)

    def _parse(self, manifest: Any) -> None:
        self.definition: dict[str, Any] = manifest["definition"]
        self.name: str = self.definition["name"]
        self.source: str = manifest["source"]
        self.key: str = manifest["key"]
        self.channels: tuple[str, ...] = tuple(self.definition["channels"])
        self.shape: tuple[int, ...] = shape_of(self.channels, self.definition["size"])
        self.dtype = np.dtype(self.definition["dtype"])
        self.shards = tuple(Shard(**shard) for shard in manifest["shards"])

    @property
    def clips(self) -> int:
        """How many clips have this feature."""
        return sum(shard.clips for shard in self.shards)

    @cached_property
    def _rows(self) -> dict[str, npt.NDArray[Any]]:
        """Each clip's array, a read-only view of its shard's mapped file."""
        rows: dict[str, npt.NDArray[Any]] = {}
        for shard in self.shards:
            path = self._folder / shard.file
            if self._fetch and not path.exists():
                self._fetch(shard.file)
            rows |= read_shard(path, shard, self.shape, self.dtype)
        return rows

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """The ids of the clips that have this feature."""
        return tuple(self._rows)

    def gather(self, clip_ids: Sequence[str]) -> npt.NDArray[Any]:
        """Copy some clips into one array ``[len(clip_ids), *shape]``, in the order asked for.

        Raises
        ------
        KeyError
            If a clip lacks the feature.
        """
        return gather([self], clip_ids)

    def find(self, clip_ids: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        """Views of the clips that are here, by id."""
        return {clip_id: self._rows[clip_id] for clip_id in clip_ids if clip_id in self._rows}


def gather(features: Sequence[Feature], clip_ids: Sequence[str]) -> npt.NDArray[Any]:
    """Copy clips of one feature that lie in several datasets into one array, in the order asked for.

    Raises
    ------
    KeyError
        If a clip is in none of them.
    """
    return LazyRows(features, clip_ids)[np.arange(len(clip_ids))]


class LazyRows:
    """Clips of one feature as an array ``[clips, *shape]`` of which nothing is in memory before it is asked for.

    Parameters
    ----------
    features
        The datasets the clips lie in.
    clip_ids
        The clips, in order.
    channels
        Indices of the channels wanted, in order; all if empty.

    Raises
    ------
    KeyError
        If a clip is in none of the datasets.
    """

    def __init__(self, features: Sequence[Feature], clip_ids: Sequence[str], channels: Sequence[int] = ()) -> None:
        found: dict[str, npt.NDArray[Any]] = {}
        for feature in features:
            found |= feature.find(clip_ids)
        self._views = [found[clip_id] for clip_id in clip_ids]
        self._channels = list(channels)
        whole = features[0].shape
        self.shape = (len(clip_ids), *((len(channels), *whole[1:]) if channels else whole))
        self.dtype = features[0].dtype
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, index: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        for place, row in enumerate(index):
            view = self._views[row]
            out[place] = view[self._channels] if self._channels else view
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[np.arange(len(self))]
