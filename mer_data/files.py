"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer_data import seal
from mer_data.problems import BadInput, NoAccess, Problem

# What the system says of something that is there, and is no file: a folder, a path through a file, links in a circle.
_NO_FILE = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
_AWAY = "move it away"
_GIVE_ACCESS = "give access to it; the same command goes on"


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder, then flush it to disk and rename it to `path`.

    If the body raises, the temporary file is removed and `path` stays as it was.

    Raises
    ------
    BadInput
        If a folder has the name.
    """
    refuse_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = beside(path, "tmp")
    try:
        yield aside
        _flush(aside)
        aside.replace(path)
        _flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def refuse_folder(path: Path) -> None:
    """Refuse to write a file where a folder has its name.

    Raises
    ------
    BadInput
        If one has.
    """
    if path.is_dir():
        remedy = f"{_AWAY} and run the same command again"
        raise BadInput(Problem(str(path), "is a folder where a file should be", remedy))


def beside(path: Path, purpose: str) -> Path:
    """A hidden name beside `path`; it holds host and process, so writers on a shared folder do not meet."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{purpose}")


def _flush(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document aside and rename it."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document with the checksum of its bytes (:mod:`mer_data.seal`), aside and renamed."""
    text = json.dumps({seal.KEY: seal.OPEN, **document}, indent=1, ensure_ascii=False) + "\n"
    with written_aside(path) as aside:
        aside.write_bytes(seal.sealed(text.encode()))


def sealed_bytes(path: Path) -> bytes:
    """The bytes of a JSON document that :func:`write_sealed` wrote, or an older version without a checksum.

    Raises
    ------
    OSError
        If it cannot be read.
    BrokenSeal
        If its checksum is wrong.
    """
    data = path.read_bytes()
    seal.check(data, expected=f'"{seal.KEY}"'.encode() in data[:16])  # the first key of those that have one
    return data


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON document this project wrote, and compare it with its checksum if it has one.

    Raises
    ------
    BadInput
        If it is missing or damaged; `remedy` tells the reader how to make it anew.
    """
    document = read(path, lambda: json.loads(sealed_bytes(path)), remedy)
    if isinstance(document, dict):
        document.pop(seal.KEY, None)
    return document


def read(path: Path, reader: Callable[[], Any], remedy: str) -> Any:
    """Call `reader` and turn a missing or damaged file into one :class:`BadInput` that names it.

    `reader` parses what this project wrote, so whatever else it raises means damage too.

    Raises
    ------
    BadInput
        If the file is missing, or what was read of it is wrong.
    NoAccess
        If it could not be read, which tells nothing of what is in it.
    """
    try:
        refuse_special(path, remedy)
        return reader()
    except BadInput:
        raise
    except FileNotFoundError:
        if path.is_symlink():
            what = f"is a link to {path.readlink()}, which is not there"
            raise NoAccess(Problem(str(path), what, f"connect its disk, or else: {remedy}")) from None
        raise BadInput(Problem(str(path), "no such file", remedy)) from None
    except MemoryError:
        what = "cannot be read: no memory is left"
        raise NoAccess(Problem(str(path), what, f"free some, or else: {remedy}")) from None
    except Exception as error:
        # Without a number it is no word of the system's: Arrow says OSError of bytes that are wrong.
        number = error.errno if isinstance(error, OSError) else None
        if number in _NO_FILE:
            raise BadInput(Problem(str(path), "is no file", f"{_AWAY}; {remedy}")) from error
        if number is not None:
            raise NoAccess(Problem(str(path), f"cannot be read: {os.strerror(number)}", _GIVE_ACCESS)) from error
        raise BadInput(Problem(str(path), f"cannot be read: {told(error)}", remedy)) from error


def refuse_special(path: Path, remedy: str) -> None:
    """Refuse what is there and is no file: a folder, or a pipe or a device, whose end may never come.

    Raises
    ------
    BadInput
        If it is one.
    OSError
        If the system does not tell.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return  # reading tells it
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise BadInput(Problem(str(path), f"is {kind} where a file should be", f"{_AWAY}; {remedy}"))


def told(error: Exception) -> str:
    """What is wrong with content that could not be parsed, in our words: those of libraries are for programmers."""
    if isinstance(error, seal.BrokenSeal):
        return "its checksum is wrong, so its bytes have changed"
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON from line {error.lineno} on"
    if isinstance(error, UnicodeDecodeError):
        return f"it is no text in UTF-8 from byte {error.start + 1} on"
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]!r}"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    found = error.errors()[:1] if hasattr(error, "errors") else []  # pydantic's, which this room does not know
    if found:
        place = ".".join(map(str, found[0]["loc"])) or "its form"
        return f"it lacks {place}" if found[0]["type"] == "missing" else f"{place} is not what it should be"
    return "it is not what this program writes"


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none if there is no such folder.

    Raises
    ------
    OSError
        If it cannot be listed: that is not an empty folder. :meth:`pathlib.Path.glob` passes over it without a word.
    """
    try:
        with os.scandir(folder) as entries:  # a fifth of the time that glob takes
            return sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return []
