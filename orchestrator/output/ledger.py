"""The ledger: the append-only store of finished jobs. Logits per clip and kept epoch, never labels.

A file per job, named by the job's id, written aside and renamed: after a kill at any instant an entry is either
there and whole, or not there. One process writes; anyone may read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.files import names_in, read, read_json, write_sealed
from mer_data.hashing import digest_bytes
from mer_data.problems import BadInput, NoAccess, Problem
from mer_data.storage.arrow_files import read_arrays, write_whole
from mer_data.storage.remembered import Remembered

_REMEDY = "delete it and run the same command again"
_WHOLE = "whole"


@dataclass(frozen=True)
class FoldResult:
    """What one job found.

    Attributes
    ----------
    job_id
        The job.
    clip_ids
        The test clips.
    epochs
        The kept epochs, ascending.
    logits
        float32 ``[kept epochs, clips, classes]``.
    seconds
        Time spent in training, without scheduling.
    device
        What it was trained on, in words.
    environment
        Versions of what decides the numbers.
    """

    job_id: str
    clip_ids: tuple[str, ...]
    epochs: tuple[int, ...]
    logits: npt.NDArray[np.float32]
    seconds: float
    device: str
    environment: Mapping[str, str]


class Conflict(Exception):  # noqa: N818 - a finding, not a bug of the ledger
    """A job was run twice with different results; both are kept."""


class Ledger:
    """Entries under one folder.

    Parameters
    ----------
    root
        The folder; it need not exist before the first commit.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def ids(self) -> set[str]:
        """The jobs that are done."""
        return set(_entries(self.root))

    def drop_damaged(self) -> list[str]:
        """Move entries that were read and are wrong out of the way, into ``damaged``; returns their ids.

        Raises
        ------
        NoAccess
            If an entry could not be read; then nothing was moved.
        """
        read = Remembered(self.root / "verified.json", self.root)  # so that no unchanged entry is read again
        damaged = [job_id for job_id in sorted(self.ids()) if self._is_damaged(job_id, read)]
        for job_id in damaged:
            path = self.root / f"{job_id}.arrow"
            path.replace(_free(self.root / "damaged", path.name))
        if self.root.is_dir():
            read.save()
        return damaged

    def _is_damaged(self, job_id: str, read: Remembered) -> bool:
        path = self.root / f"{job_id}.arrow"
        # A remark of damage is not believed without another look: who moves a right result away trains it twice.
        return read.get(path, self._verdict) != _WHOLE and self._verdict(path) != _WHOLE

    def _verdict(self, path: Path) -> str:
        try:
            self.read(path.stem)
        except NoAccess:
            raise
        except BadInput as error:
            return str(error)
        return _WHOLE

    def set_aside(self) -> dict[str, FoldResult]:
        """The results in ``damaged`` that are right, by the name of the file there.

        They were moved by an earlier version, which took a disk that did not answer for damage.

        Raises
        ------
        NoAccess
            If one could not be read.
        """
        found = {}
        for name in names_in(self.root / "damaged"):
            try:
                found[name] = self._read(self.root / "damaged" / name, name.split(".")[0])
            except NoAccess:
                raise
            except BadInput:
                continue
        return found

    def restore(self) -> list[str]:
        """Take back from ``damaged`` what is right; returns the ids. A job that was run again keeps its new result.

        Raises
        ------
        NoAccess
            As :meth:`set_aside`.
        """
        taken = []
        for name, result in self.set_aside().items():
            path = self.root / f"{result.job_id}.arrow"
            if not path.exists():
                (self.root / "damaged" / name).replace(path)
                taken.append(result.job_id)
        return taken

    def conflicts(self) -> list[str]:
        """Ids of jobs whose results disagree."""
        return sorted({name.split(".")[0] for name in names_in(self.root / "conflicts") if name.endswith(".arrow")})

    def commit(self, result: FoldResult) -> None:
        """Add a result. The first one stays; a second one must say the same.

        Raises
        ------
        ValueError
            If the logits are not finite or of the wrong shape.
        Conflict
            If another result is there already; this one is kept beside it, under ``conflicts``.
        """
        shape = (len(result.epochs), len(result.clip_ids))
        if result.logits.shape[:2] != shape or result.logits.ndim != 3 or result.logits.dtype != np.float32:
            raise ValueError(f"logits {result.logits.dtype} {result.logits.shape} do not fit {shape} epochs and clips")
        if not np.isfinite(result.logits).all():
            raise ValueError("logits are not finite")
        path = self.root / f"{result.job_id}.arrow"
        if path.exists():
            first = self.read(result.job_id)
            if first.clip_ids == result.clip_ids and np.array_equal(first.logits, result.logits):
                self._failure(result.job_id).unlink(missing_ok=True)
                return
            checksum = digest_bytes(np.ascontiguousarray(result.logits).data)[:8]
            self._write(self.root / "conflicts" / f"{result.job_id}.{checksum}.arrow", result)
            raise Conflict(f"job {result.job_id} was run twice with different results; see {self.root / 'conflicts'}")
        self._write(path, result)
        self._failure(result.job_id).unlink(missing_ok=True)
        (self.root / "running" / result.job_id).unlink(missing_ok=True)

    def _write(self, path: Path, result: FoldResult) -> None:
        by_clip = np.ascontiguousarray(result.logits.swapaxes(0, 1))
        meta = {
            "job": result.job_id,
            "epochs": result.epochs,
            "seconds": result.seconds,
            "device": result.device,
            "environment": dict(result.environment),
        }
        write_whole(path, zip(result.clip_ids, by_clip, strict=True), meta)

    def read(self, job_id: str) -> FoldResult:
        """A result.

        Raises
        ------
        BadInput
            If the entry is missing, damaged, or is not what was written.
        """
        return self._read(self.root / f"{job_id}.arrow", job_id)

    def _read(self, path: Path, job_id: str) -> FoldResult:
        by_clip, meta = read_arrays(path, _REMEDY, verify=True, whole=True)

        def unpack() -> FoldResult:
            return FoldResult(
                job_id=meta["job"],
                clip_ids=tuple(by_clip),
                epochs=tuple(meta["epochs"]),
                logits=np.stack(list(by_clip.values()), axis=1),
                seconds=meta["seconds"],
                device=meta["device"],
                environment=meta["environment"],
            )

        result: FoldResult = read(path, unpack, _REMEDY)
        if result.job_id != job_id:
            raise BadInput(Problem(str(path), f"is the result of another job, {result.job_id}", _REMEDY))
        return result

    def _failure(self, job_id: str) -> Path:
        return self.root / "failures" / f"{job_id}.json"

    def begin(self, job_id: str) -> None:
        """Note that a job is running; ended by :meth:`commit`, :meth:`record_failure` or :meth:`forget_running`.

        Why it failed before is forgotten.
        """
        self._failure(job_id).unlink(missing_ok=True)
        path = self.root / "running" / job_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def running(self) -> set[str]:
        """The jobs that were begun and have not ended."""
        return set(names_in(self.root / "running")) - self.ids()

    def forget_running(self) -> None:
        """Nothing runs: a driver starts, or has ended."""
        for name in names_in(self.root / "running"):
            (self.root / "running" / name).unlink()

    def record_failure(self, job_id: str, reason: str) -> None:
        """Remember why a job gave no result; a later commit forgets it."""
        write_sealed(self._failure(job_id), {"job": job_id, "reason": reason})
        (self.root / "running" / job_id).unlink(missing_ok=True)

    def failures(self, job_ids: Iterable[str] | None = None) -> dict[str, str]:
        """Reasons by job id; of some jobs, or of all."""
        there = [name for name in names_in(self.root / "failures") if name.endswith(".json") and name[0] != "."]
        wanted = None if job_ids is None else {self._failure(job_id).name for job_id in job_ids}
        return dict(self._reason(name) for name in there if wanted is None or name in wanted)

    def _reason(self, name: str) -> tuple[str, str]:
        path = self.root / "failures" / name

        def parse() -> tuple[str, str]:
            entry = read_json(path, _REMEDY)
            return str(entry["job"]), str(entry["reason"])

        found: tuple[str, str] = read(path, parse, _REMEDY)
        return found

    def has(self, job_id: str) -> bool:
        """Whether a job is done."""
        return (self.root / f"{job_id}.arrow").exists()


def _entries(folder: Path) -> list[str]:
    return [name.removesuffix(".arrow") for name in names_in(folder) if name.endswith(".arrow") and name[0] != "."]


def _free(folder: Path, name: str) -> Path:
    """A path in a folder that nothing has yet: what was set aside before stays."""
    folder.mkdir(exist_ok=True)
    stem, dot, suffix = name.partition(".")
    numbered = (f"{stem}.{number}{dot}{suffix}" for number in count(2))
    return next(path for path in (folder / free for free in chain([name], numbered)) if not path.exists())
