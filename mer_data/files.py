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

    If the body raises, the temporary file is removed and `path` stays as it was. The temporary name holds the
    host and the process, so writers on a shared folder do not meet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


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
    """Call `reader` and turn a missing or damaged file into one :class:`BadInput` that names it."""
    try:
        return reader()
    except FileNotFoundError:
        raise BadInput(Problem(str(path), "no such file", remedy)) from None
    except (OSError, ValueError) as error:
        raise BadInput(Problem(str(path), f"cannot be read: {error}", remedy)) from error
