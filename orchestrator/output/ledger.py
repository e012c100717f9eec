"""The ledger: the append-only store of finished jobs. Logits per clip and kept epoch, never labels.

A file per job, named by the job's id, written aside and renamed: after a kill at any instant an entry is either
there and whole, or not there. One process writes; anyone may read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.files import read_json, write_json
from mer_data.hashing import digest_bytes
from mer_data.problems import BadInput, Problem
from mer_data.storage.arrow_files import read_arrays, write_arrays
from mer_data.storage.remembered import Remembered

_REMEDY = "delete it and run the same command again"


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
        try:
            with os.scandir(self.root) as files:  # a fifth of the time that glob takes
                names = [file.name for file in files]
        except FileNotFoundError:
            return set()
        return {name.removesuffix(".arrow") for name in names if name.endswith(".arrow") and not name.startswith(".")}

    def drop_damaged(self) -> list[str]:
        """Move entries that cannot be read out of the way, into ``damaged``; returns their ids."""
        damaged = []
        read = Remembered(self.root / "verified.json", self.root)  # so that no unchanged entry is read again
        for job_id in sorted(self.ids()):
            path = self.root / f"{job_id}.arrow"
            if read.get(path, self._verdict) != "whole":
                aside = self.root / "damaged" / path.name
                aside.parent.mkdir(exist_ok=True)
                path.replace(aside)
                damaged.append(job_id)
        if self.root.is_dir():
            read.save()
        return damaged

    def _verdict(self, path: Path) -> str:
        try:
            self.read(path.stem)
        except BadInput as error:
            return str(error)
        return "whole"

    def conflicts(self) -> list[str]:
        """Ids of jobs whose results disagree."""
        return sorted({path.name.split(".")[0] for path in self.root.glob("conflicts/*.arrow")})

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
        write_arrays(path, zip(result.clip_ids, by_clip, strict=True), meta)

    def read(self, job_id: str) -> FoldResult:
        """A result.

        Raises
        ------
        BadInput
            If the entry is missing, damaged, or is not what was written.
        """
        path = self.root / f"{job_id}.arrow"
        by_clip, meta = read_arrays(path, _REMEDY, verify=True)
        if meta["job"] != job_id:
            raise BadInput(Problem(str(path), f"is the result of another job, {meta['job']}", _REMEDY))
        return FoldResult(
            job_id=job_id,
            clip_ids=tuple(by_clip),
            epochs=tuple(meta["epochs"]),
            logits=np.stack(list(by_clip.values()), axis=1),
            seconds=meta["seconds"],
            device=meta["device"],
            environment=meta["environment"],
        )

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
        return {path.name for path in self.root.glob("running/*")} - self.ids()

    def forget_running(self) -> None:
        """Nothing runs: a driver starts, or has ended."""
        for path in self.root.glob("running/*"):
            path.unlink()

    def record_failure(self, job_id: str, reason: str) -> None:
        """Remember why a job gave no result; a later commit forgets it."""
        write_json(self._failure(job_id), {"job": job_id, "reason": reason})
        (self.root / "running" / job_id).unlink(missing_ok=True)

    def failures(self, job_ids: Iterable[str] | None = None) -> dict[str, str]:
        """Reasons by job id; of some jobs, or of all."""
        paths = sorted(self.root.glob("failures/*.json")) if job_ids is None else map(self._failure, job_ids)
        entries = [read_json(path, _REMEDY) for path in paths if path.exists()]
        return {entry["job"]: entry["reason"] for entry in entries}

    def has(self, job_id: str) -> bool:
        """Whether a job is done."""
        return (self.root / f"{job_id}.arrow").exists()
