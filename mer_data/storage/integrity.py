"""Whether files are what was written: every checksum compared, whatever is remembered of earlier looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from mer_data import seal
from mer_data.problems import BadInput, Problem
from mer_data.storage.shards import read_shard
from mer_data.storage.store import Store

_Read = TypeVar("_Read")


@dataclass
class Integrity:
    """What was looked at, and what was found.

    Attributes
    ----------
    files
        How many were read.
    older
        How many have no checksum over all of their bytes: an earlier version wrote them.
    problems
        What is wrong, each with what to do.
    remarks
        What is no damage and worth knowing.
    """

    files: int = 0
    older: int = 0
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def look(self, read: Callable[[], _Read], *paths: Path) -> _Read | None:
        """Read files; what is wrong with them is noted, and None given.

        Parameters
        ----------
        read
            Reads them, and raises :class:`BadInput`.
        paths
            The files of which each should have a checksum over all of its bytes.
        """
        self.files += max(len(paths), 1)
        try:
            found = read()
        except BadInput as error:
            self.problems += error.problems
            return None
        self.older += sum(not seal.check(path.read_bytes()) for path in paths)
        return found

    def told(self) -> list[str]:
        """The remarks, and how many files are older."""
        if not self.older:
            return self.remarks
        what = (
            f"{self.older} of {self.files} files were written by an earlier version and have no checksum of the whole"
        )
        return [*self.remarks, f"{what}; they get one when they are written again"]


def check_store(store: Store) -> Integrity:
    """Look at every dataset of a store: clip table, description, manifests, and every array of every feature."""
    found = Integrity()
    for name in store.names():
        folder = store.root / name
        found.look(partial(store.dataset, name), folder / "dataset.json", folder / "clips.arrow")
        for feature_name in store.features(name):
            place = store.feature_folder(name, feature_name)
            feature = found.look(partial(store.feature, name, feature_name), place / "manifest.json")
            if feature is not None:
                form = feature.shape, feature.dtype
                for shard in feature.shards:
                    found.look(partial(read_shard, place / shard.file, shard, *form, verify=True))
    return found
