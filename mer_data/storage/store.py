"""The Arrow feature store: a folder per dataset, a shard per subject, memory-mapped reads.

::

    STORE/casme2/clips.arrow                      the clip table
    STORE/casme2/dataset.json                     name, format, frame root, notes of the import
    STORE/casme2/features/flow_uvs_28/
        manifest.json                             definition, shards, key; written last
        casme2~sub01.3f0a91c2b7de4a55.arrow       clip ids and one fixed-shape tensor per clip

A shard's file name holds its key, the hash of all that its bytes depend on. A shard that exists is therefore
right, whoever wrote it and when; a changed clip or frame asks for another name.

A store may also lie in object storage (``s3://bucket/folder``). Then the same files are copied to a folder of this
machine when they are first needed, and what is written goes there and back.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mer_data.editions import Edition
from mer_data.faces.alignment import ALIGNMENTS, NONE, AlignSpec
from mer_data.features.spec import FeatureSpec, shape_of
from mer_data.files import beside, names_in, read, sealed_bytes
from mer_data.problems import BadInput, NoAccess, Problem, did_you_mean
from mer_data.schema import Clip, from_table
from mer_data.storage.arrow_files import read_table
from mer_data.storage.remembered import Remembered
from mer_data.storage.remote import Remote, cache_folder, is_remote
from mer_data.storage.shards import Feature, Shard, read_shard
from mer_data.storage.writing import DatasetWriter, write_manifest

# Between the name of a dataset and what a variant of it changes; no dataset is imported under such a name.
VARIANT = "@"
_REBUILD = "import the dataset again"
_WHOLE = "whole"
_ABANDONED_SECONDS = 24 * 3600


def original(name: str) -> str:
    """The dataset that a variant is one of; any other name is its own."""
    return name.partition(VARIANT)[0]


@dataclass(frozen=True)
class Dataset:
    """A dataset in the store.

    Attributes
    ----------
    name
        Its name in the store, and in experiment files.
    format
        The importer that read it.
    clips
        All its clips, in the order of the source.
    frame_root
        The folder that each clip's `frames` is relative to; None if it was imported without frames.
    edition
        Which edition of the dataset it is; None if an earlier version of this program imported it.
    raw
        Whether its frames are whole pictures with a face somewhere in them.
    align
        What is done to its frames before a feature is computed.
    """

    name: str
    format: str
    clips: tuple[Clip, ...]
    frame_root: Path | None
    edition: Edition | None = None
    raw: bool = False
    align: AlignSpec = NONE


class Store:
    """A folder of datasets and their features.

    Parameters
    ----------
    root
        The folder, which need not exist before the first import, or the URI of one in object storage.

    Attributes
    ----------
    address
        What names this store on any machine that reaches it.
    root
        The folder on this machine; for a remote store, that of the copies.
    """

    def __init__(self, root: Path | str) -> None:
        self._remote: Remote | None = None
        if isinstance(root, str) and is_remote(root):
            self.address, self.root = root, cache_folder(root)
            self._remote = Remote(root, self.root)
        else:
            self.root = Path(root)
            self.address = str(self.root.resolve())

    def names(self) -> list[str]:
        """The datasets in the store, sorted, without the variants of them that experiments ask for.

        Raises
        ------
        BadInput
            If the store is not a folder, or cannot be reached.
        OSError
            If it cannot be listed: that is not an empty store.
        """
        if self._remote:
            there = [name for name in self._remote.folders() if VARIANT not in name]
            return [name for name in there if self._remote.has(f"{name}/dataset.json")]
        if self.root.exists() and not self.root.is_dir():
            raise BadInput(Problem(str(self.root), "is not a folder, so it cannot be a store", "name another"))
        there = [name for name in names_in(self.root) if name[0] != "." and VARIANT not in name]
        return [name for name in there if _is_there(self.root / name / "dataset.json")]

    def has(self, name: str) -> bool:
        """Whether there is a dataset of this name, or a variant of one."""
        if VARIANT not in name:
            return name in self.names()
        if self._remote:
            return self._remote.has(f"{name}/dataset.json")
        return _is_there(self.root / name / "dataset.json")

    def dataset(self, name: str) -> Dataset:
        """A dataset's clips.

        Raises
        ------
        BadInput
            If the store has no such dataset.
        """
        if not self.has(name):
            hint = did_you_mean(name, self.names()) or "the store is empty; see `mer data import --help`"
            raise BadInput(Problem(self.address, f"no dataset {name!r} in this store", hint))
        info, table = self.root / name / "dataset.json", self.root / name / "clips.arrow"
        self._fetch(f"{name}/dataset.json", f"{name}/clips.arrow")

        def parse() -> Dataset:
            document = json.loads(sealed_bytes(info))
            root = document["frame_root"]
            edition = Edition(**document["edition"]) if document.get("edition") else None
            align = ALIGNMENTS[document.get("align", NONE.name)]
            frames = Path(root) if root else None
            return Dataset(name, document["format"], (), frames, edition, document.get("raw", False), align)

        clips = read(table, lambda: from_table(read_table(table, _REBUILD, whole=True)), _REBUILD)
        known: Dataset = read(info, parse, _REBUILD)
        return replace(known, clips=clips)

    def made_from(self, name: str) -> str:
        """What a variant of a dataset was made from, as its maker told; empty if it is not there, or cannot be read."""
        if not self.has(name):
            return ""
        self._fetch(f"{name}/dataset.json")
        with suppress(OSError, ValueError):
            return str(json.loads(sealed_bytes(self.root / name / "dataset.json")).get("made_from", ""))
        return ""

    def features(self, dataset: str) -> list[str]:
        """The names of the features a dataset has, sorted."""
        if self._remote:
            here = f"{dataset}/features"
            return [name for name in self._remote.folders(here) if self._remote.has(f"{here}/{name}/manifest.json")]
        folder = self.root / dataset / "features"
        return [name for name in names_in(folder) if _is_there(folder / name / "manifest.json")]

    def feature(self, dataset: str, name: str) -> Feature:
        """Open one feature of a dataset for reading."""
        folder = f"{dataset}/features/{name}"
        self._fetch(f"{folder}/manifest.json")
        remote = self._remote
        return Feature(self.root / folder, (lambda file: remote.fetch(f"{folder}/{file}")) if remote else None)

    def feature_folder(self, dataset: str, name: str) -> Path:
        """Where a feature of a dataset lies on this machine."""
        return self.root / dataset / "features" / name

    def shards(self, dataset: str, name: str) -> set[str]:
        """File names of the shards that exist, declared or not."""
        if self._remote:
            return {file for file in self._remote.files(f"{dataset}/features/{name}") if file.endswith(".arrow")}
        there = names_in(self.feature_folder(dataset, name))
        return {file for file in there if file.endswith(".arrow") and file[0] != "."}

    def damaged(self, dataset: str, definition: Mapping[str, Any], shards: Iterable[Shard]) -> dict[str, str]:
        """Compare shards with their checksums; those that did not change since they were last compared are not read.

        Parameters
        ----------
        dataset, definition
            Of the feature, as :meth:`FeatureSpec.describe` gives it.
        shards
            What to look at, as far as it is on this machine.

        Returns
        -------
        What is wrong, in words, by the file name of the shard.
        """
        folder = self.feature_folder(dataset, definition["name"])
        shape, dtype = shape_of(definition["channels"], definition["size"]), definition["dtype"]
        verified = Remembered(folder / "verified.json", folder)
        found = {}
        for shard in shards:
            if _is_there(folder / shard.file):
                verdict = verified.get(folder / shard.file, partial(_verdict, shard=shard, shape=shape, dtype=dtype))
                if verdict != _WHOLE:
                    found[shard.file] = verdict
        verified.save()
        return found

    def borrow(self, dataset: str, feature: str, files: Iterable[str]) -> set[str]:
        """Take those shards that another variant of a dataset has: a file of that name is right, whoever made it."""
        base, found = original(dataset), set[str]()
        others = [name for name in names_in(self.root) if original(name) == base and name != dataset]
        folder = self.feature_folder(dataset, feature)
        for file in files:
            there = (self.feature_folder(name, feature) / file for name in others)
            if source := next((path for path in there if path.is_file()), None):
                folder.mkdir(parents=True, exist_ok=True)
                _link(str(source), str(folder / file))
                self.publish(folder / file)
                found.add(file)
        return found

    def publish(self, path: Path) -> None:
        """Bring a file that was written below `root` to where the store lies."""
        if self._remote:
            self._remote.push(path.relative_to(self.root).as_posix())

    def discard(self, path: Path) -> None:
        """Remove a file below `root`, here and where the store lies."""
        path.unlink(missing_ok=True)
        if self._remote:
            self._remote.delete(path.relative_to(self.root).as_posix())

    def _fetch(self, *files: str) -> None:
        for file in files if self._remote else ():
            with suppress(FileNotFoundError):  # the reader tells what is missing
                self._remote.fetch(file)  # type: ignore[union-attr]

    def write_manifest(self, dataset: str, spec: FeatureSpec, shards: Iterable[Shard], source: str) -> None:
        """Declare a feature complete, then remove the shards that are no longer part of it.

        Parameters
        ----------
        dataset, spec, shards
            What the feature is and where it lies; every shard's file must be there.
        source
            ``computed``, or ``imported`` with a word on where from.
        """
        shards = tuple(shards)
        folder = self.feature_folder(dataset, spec.name)
        write_manifest(folder, spec, shards, source)
        self.publish(folder / "manifest.json")
        for file in self.shards(dataset, spec.name) - {shard.file for shard in shards}:
            self.discard(folder / file)
        _remove_abandoned(folder)

    @contextmanager
    def replacing(self, name: str) -> Iterator[DatasetWriter]:
        """Write a dataset aside; it appears, or takes the place of its predecessor, when the body ends.

        If anything raises, the store is as it was. Features that were computed for the predecessor stay: their
        shards' keys tell which of them still hold. Imported ones go, since nothing ties them to the new clips.
        """
        final = self.root / name
        aside, old = beside(final, "new"), beside(final, "old")
        for leftover in (aside, old):
            shutil.rmtree(leftover, ignore_errors=True)
        (aside / "features").mkdir(parents=True)
        try:
            yield DatasetWriter(aside, name)
            for feature in self.features(name):
                if self._outlives(name, feature) and not (aside / "features" / feature).exists():
                    shutil.copytree(
                        self.feature_folder(name, feature),
                        aside / "features" / feature,
                        copy_function=_link,
                        ignore_dangling_symlinks=True,
                    )
            _swap(aside, final, old)
            self._push(name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _outlives(self, name: str, feature: str) -> bool:
        """Whether a feature may stay when its dataset is imported again; one that is damaged may not."""
        try:
            return self.feature(name, feature).source == "computed"
        except NoAccess:
            if self.feature_folder(name, feature).joinpath("manifest.json").is_symlink():
                return False  # it leads nowhere, and importing again is what the message says
            raise
        except BadInput:
            return False

    def _push(self, name: str) -> None:
        """Bring a dataset to object storage. Until its last file is there, the store does not list it."""
        if not self._remote:
            return
        self._remote.delete(f"{name}/dataset.json")
        kept = {path.parent.name for path in self.root.glob(f"{name}/features/*/manifest.json")}
        for feature in set(self._remote.folders(f"{name}/features")) - kept:
            self._remote.delete(f"{name}/features/{feature}")
        files = [path for path in sorted((self.root / name).rglob("*")) if path.is_file()]
        for path in sorted(files, key=lambda path: (path.name == "dataset.json", path.name == "manifest.json")):
            self.publish(path)


def _verdict(path: Path, shard: Shard, shape: tuple[int, ...], dtype: str) -> str:
    try:
        read_shard(path, shard, shape, dtype, verify=True)
    except NoAccess:
        raise  # nothing is known of what is in it
    except BadInput as error:
        return str(error)
    return _WHOLE


def _is_there(path: Path) -> bool:
    """Whether a file is there, also as a link that leads nowhere: reading tells what is wrong with it."""
    return path.exists() or path.is_symlink()


def _remove_abandoned(folder: Path) -> None:
    """Remove what writers that were killed had written aside: those of this machine that are no more, and old ones."""
    here = f".{socket.gethostname()}."
    for path in folder.glob(".*.tmp"):
        with suppress(OSError, ValueError):
            old = time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
            if old or (here in path.name and not _runs(int(path.name.split(".")[-2]))):
                path.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks only
    except ProcessLookupError:
        return False
    return True


def _link(source: str, target: str) -> None:
    """A second name for a file, or a copy where the file system has no such thing. Shards are never written to."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _swap(new: Path, final: Path, old: Path) -> None:
    """Put `new` in the place of `final`; if that fails, `final` is what it was."""
    if not final.exists():
        new.rename(final)
        return
    final.rename(old)
    try:
        new.rename(final)
    except OSError:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)
