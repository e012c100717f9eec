"""What a Ray needs that runs on this machine for one run alone: a private folder, a token, room. Looked at beforehand.

Ray itself would fail late, with a traceback or not at all, where something of this is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mer_data.problems import BadInput, Problem

_PREFIX = "mer."  # the Slurm script removes what is called mer-*
_LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes; a limit of the system
_BELOW = len(f"/{_PREFIX}12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
_ROOM = 100 * 2**20  # bytes, for Ray's logs and what does not fit into shared memory
_ADDRESS_SPACE = 8 * 2**30  # bytes; with less, a run failed by Ray's default object store
_KEPT = 24 * 3600.0  # seconds for which a log that a message names is kept
_MINE = "driver"  # a file that the driver of a session holds locked
_KEEP = "keep"


@dataclass
class PrivateSession:
    """Ray's folder of one run, which nobody else may enter.

    Attributes
    ----------
    folder
        Private, with a short name.
    token
        A file with the key to this Ray.
    """

    folder: Path
    token: Path
    _lock: int

    @property
    def rays(self) -> Path:
        """The folder in it that is for Ray, which opens its own to everybody."""
        return self.folder / "r"

    def close(self) -> None:
        """Remove the folder, unless its log was named to somebody."""
        if not (self.folder / _KEEP).exists():
            with contextlib.suppress(OSError):
                _remove(self.folder)
        os.close(self._lock)

    def keep_log(self) -> Path:
        """Where Ray's log is, for a message; it is kept for a day."""
        (self.folder / _KEEP).touch()
        return self.rays / "session_latest" / "logs"


def open_session() -> PrivateSession:
    """Look at what Ray cannot live with, mend what can be mended, and make its folder.

    Raises
    ------
    BadInput
        If there is no place for Ray's files, or the address space of processes is limited too much.
    """
    _widen_address_space()
    place = _place()
    _remove_ended(place)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))  # mode 700
    lock = os.open(folder / _MINE, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    token = folder / "token"
    token.touch(0o600)
    token.write_text(_token(), encoding="ascii")
    return PrivateSession(folder, token, lock)


def quoted_python() -> str | None:
    """The path of this Python as a shell wants it; None if it is the same. Ray hands it to a shell as it is."""
    quoted = shlex.quote(sys.executable)
    return quoted if quoted != sys.executable else None


def address_space() -> int | None:
    """How many bytes a process may map; None if no limit is set."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


@cache
def _token() -> str:
    """One for the whole process: Ray reads it once."""
    return secrets.token_hex(32)


def _widen_address_space() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    limit = address_space()
    if limit is not None and limit < _ADDRESS_SPACE:
        what = f"limits each process to {limit / 2**30:.1f} GB of address space; Ray needs {_ADDRESS_SPACE >> 30} GB"
        raise BadInput(Problem("this shell", what, "`ulimit -v unlimited`, or ask whoever set the limit"))


def _place() -> Path:
    """The first folder that Ray can use."""
    told = os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"  # noqa: S108
    unfit = {}
    for name in dict.fromkeys(filter(None, told)):
        place = Path(name).absolute()
        why = _why_not(place)
        if why is None:
            return place
        unfit[str(place)] = why
    reasons = "; ".join(f"{place} {why}" for place, why in unfit.items())
    remedy = f"make room, or set RAY_TMPDIR to a folder of at most {_LONGEST_SOCKET - _BELOW} letters on a local disk"
    raise BadInput(Problem("temporary folder", f"none is fit for Ray: {reasons}", remedy))


def _why_not(place: Path) -> str | None:
    if len(os.fsencode(place)) + _BELOW > _LONGEST_SOCKET:
        return "has too long a name"
    try:
        if shutil.disk_usage(place).free < _ROOM:
            return "is full"
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(2**20))
    except OSError as error:
        return f"cannot be used: {error.strerror or error}"
    return None


def _remove_ended(place: Path) -> None:
    """Remove what runs have left that were killed."""
    for folder in place.glob(f"{_PREFIX}????????"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid() and not folder.is_symlink() and _has_ended(folder):
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a session; what tells that it has ended goes last, so that what could not be removed is found again.

    Ray's processes may still write into it for a moment.
    """
    for _ in range(20):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _MINE:
                path.unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [_MINE]:
            shutil.rmtree(folder, ignore_errors=True)
            return
        time.sleep(0.1)


def _has_ended(folder: Path) -> bool:
    with _opened(folder / _MINE) as mine:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    kept = folder / _KEEP
    return not kept.exists() or time.time() - kept.stat().st_mtime > _KEPT


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    opened = os.open(path, os.O_RDWR)  # a folder without this file is not ours, or is being made
    try:
        yield opened
    finally:
        os.close(opened)
