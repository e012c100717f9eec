"""Where MLflow's runs are: the address, whether it can be used, and one writer at a time."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import filelock
from filelock import FileLock, Timeout

from mer_data.files import written_aside
from mer_data.problems import BadInput, Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE = 10.0  # seconds until a store that does not answer counts as gone
_WORK = 0.1  # seconds of a processor that tell that a look goes on
_TURN = 120.0  # seconds in which another writer should have ended
_SQLITE = "sqlite:///"
_QUOTED = str.maketrans({mark: quote(mark) for mark in "%?#"})
_LIBRARIES = Path(filelock.__file__).parents[1]


def tracking_uri(out: Path) -> str:
    """``MLFLOW_TRACKING_URI`` if set, else a SQLite file beside the output folders, so that experiments compare.

    What means something in a URL is quoted in it: MLflow reads it so.
    """
    beside = str(out.resolve().parent / "mlflow.db").translate(_QUOTED)
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{beside}"


def is_there(out: Path) -> bool:
    """Whether a store that is a file exists; of a server nobody knows before asking it."""
    file = _file(tracking_uri(out))
    return file is None or file.exists()


def shown(uri: str) -> str:
    """An address without its password, for people and logs."""
    return re.sub(r"(://[^/@:]*:)[^/@]*@", r"\1***@", uri)


class MirrorLost(BadInput):
    """The mirror cannot be written. Nothing but the mirror is missing: results are in the ledger."""


def _lost(uri: str, what: str, remedy: str = "") -> MirrorLost:
    return MirrorLost(Problem(f"MLflow, {shown(uri)}", what, remedy))


@contextmanager
def writing(out: Path, turn: threading.Event | None = None) -> Iterator[MlflowClient]:
    """MLflow's client, for whoever writes; others wait for their turn, where the store is a file.

    Parameters
    ----------
    out
        The output folder that is mirrored.
    turn
        Set when it is this one's turn.

    Raises
    ------
    MirrorLost
        Whatever goes wrong in the block, but for bugs of this program: MLflow, SQLAlchemy, alembic and drivers of
        databases have errors of their own.
    """
    uri = tracking_uri(out)
    try:
        _load()  # takes seconds, for which nobody should wait
        with _turn(uri):
            if turn is not None:
                turn.set()
            from mlflow import MlflowClient

            file = _file(uri)
            if file is not None and not file.exists():
                _make(file)
            yield MlflowClient(tracking_uri=uri)
            # MLflow also makes the folder whose name is the quoted one, and puts nothing there.
            if "%" in uri and _file(uri) is not None:
                with suppress(OSError):
                    os.removedirs(Path(uri.removeprefix(_SQLITE)).parent)
    except MirrorLost:
        raise
    except Exception as error:
        if _of_ours(error):
            raise
        raise _lost(uri, *_in_words(uri, error)) from error


@contextmanager
def _turn(uri: str) -> Iterator[None]:
    """Hold the lock beside a SQLite file: it is made, upgraded and written by one process at a time."""
    file = _file(uri)
    if file is None:
        yield
        return
    try:
        with FileLock(f"{file}.lock", timeout=_TURN):
            yield
    except Timeout:
        raise _lost(uri, f"another run has been writing it for {_TURN:.0f} seconds") from None


def _file(uri: str) -> Path | None:
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0])) if uri.startswith(_SQLITE) else None


def _load() -> None:
    # A server that does not answer must not hold up a result for minutes.
    for name, value in {"MAX_RETRIES": "1", "TIMEOUT": f"{_PATIENCE:.0f}"}.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.store.tracking import sqlalchemy_store as _store  # noqa: F401 - it sets levels of its own

    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _make(file: Path) -> None:
    """Make MLflow's database under another name, and rename it.

    A process that ends meanwhile leaves nothing half made, which MLflow would take for one of another version. And the
    hundred migrations that MLflow goes through need not wait for the disk one by one.
    """
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def hurry(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", hurry)
    try:
        with written_aside(file) as aside:
            MlflowClient(tracking_uri=f"{_SQLITE}{str(aside).translate(_QUOTED)}").search_experiments(max_results=1)
    except OSError as error:
        raise _lost(f"{_SQLITE}{file}", f"cannot be written: {error.strerror or error}") from error
    finally:
        event.remove(Engine, "connect", hurry)


def _of_ours(error: Exception) -> bool:
    """Whether it is a bug of this program: an error of Python's own that no library had a part in."""
    frames = traceback.extract_tb(error.__traceback__)
    by_library = any(Path(frame.filename).is_relative_to(_LIBRARIES) for frame in frames)
    return type(error).__module__ == "builtins" and not by_library


def _in_words(uri: str, error: Exception) -> tuple[str, str]:
    """What is wrong, and the remedy, in our words; what the library said stands for itself where we know no more."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError):
            return f"its database needs the Python package {cause.name}", f"pip install {cause.name}"
        cause = cause.__cause__ or cause.__context__
    file = _file(uri)
    if file is not None and file.exists():
        if not os.access(file, os.R_OK | os.W_OK) or not os.access(file.parent, os.W_OK):
            return "may not be written by you", f"get write access to {file} and its folder, or set MLFLOW_TRACKING_URI"
        if harm := _harm(file):
            return harm, f"mv {shlex.quote(str(file))} {shlex.quote(f'{file}.damaged')}"
    said = str(error).strip().partition("\n")[0]
    if "schema" in said and "out-of-date" in said:
        return "was made by another version of MLflow", f"mlflow db upgrade {shlex.quote(shown(uri))}"
    return f"cannot be written: {type(error).__name__}: {shown(said)[:300]}", "check MLFLOW_TRACKING_URI"


def _harm(file: Path) -> str:
    """What is wrong with a SQLite file, as its schema tells; nothing if it is sound, or in use."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as opened:
            names = [name for (name,) in opened.execute("SELECT name FROM sqlite_master")]
    except sqlite3.OperationalError:
        return ""
    except sqlite3.DatabaseError:
        return "is damaged"
    # A migration copies a table under such a name. Whoever makes one holds the lock, so its maker has ended.
    half = any(name.startswith("_alembic_tmp_") for name in names)
    return "was left half made by a process that ended" if half else ""


def _not_writable(uri: str) -> MirrorLost | None:
    """What the system says of a file that nobody has tried to write yet."""
    file = _file(uri)
    if file is None or all(os.access(path, os.W_OK) or not path.exists() for path in (file, file.parent)):
        return None
    return _lost(uri, *_in_words(uri, PermissionError()))


def _worked(thread: threading.Thread) -> float:
    """Seconds of a processor that a thread has used; zero where the system does not tell."""
    try:
        fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Look:
    """A look at the store beside other work, before hours are spent: whether it can be written.

    Parameters
    ----------
    out
        The output folder that will be mirrored.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._lost: MirrorLost | None = None
        self._turn = threading.Event()
        self._thread = threading.Thread(target=self._look, name="look-at-mlflow", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            self._lost = _not_writable(tracking_uri(self._out))
            if self._lost is None:
                with writing(self._out, self._turn) as client:
                    client.search_experiments(max_results=1)
        except MirrorLost as error:
            self._lost = error

    def result(self) -> MirrorLost | None:
        """Why it cannot be written, or None; waits for an answer for ten seconds in which nothing happens."""
        since, worked = time.monotonic(), 0.0
        while self._thread.is_alive() and time.monotonic() - since < _PATIENCE:
            self._thread.join(0.2)
            if (now := _worked(self._thread)) - worked > _WORK:  # a new file takes seconds, on a busy machine many
                since, worked = time.monotonic(), now
        if self._thread.is_alive():
            if not self._turn.is_set():
                return None  # others write it, so it can be written
            return _lost(tracking_uri(self._out), f"has not answered for {_PATIENCE:.0f} seconds")
        return self._lost
