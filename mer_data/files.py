"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer_data.problems import BadInput, Problem


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder, then flush it to disk and rename it to `path`.

    If the body raises, the temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = beside(path, "tmp")
    try:
        yield aside
        _flush(aside)
        aside.replace(path)
        _flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


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


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON document this project wrote.

    Raises
    ------
    BadInput
        If it is missing or damaged; `remedy` tells the reader how to make it anew.
    """
    return read(path, lambda: json.loads(path.read_text(encoding="utf-8")), remedy)


def read(path: Path, reader: Callable[[], Any], remedy: str) -> Any:
    """Call `reader` and turn a missing or damaged file into one :class:`BadInput` that names it.

    `reader` parses what this project wrote, so a missing key or a wrong type in it means damage too.
    """
    try:
        return reader()
    except FileNotFoundError:
        raise BadInput(Problem(str(path), "no such file", remedy)) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(Problem(str(path), f"cannot be read: {error}", remedy)) from error
