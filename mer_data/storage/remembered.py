"""What was found out about files, kept for as long as they have the same size and time of change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mer_data import seal
from mer_data.files import sealed_bytes, write_sealed

# A file that changed this recently may change again without a new time of change: clocks of file systems are coarse.
_TOO_YOUNG_NS = 2_000_000_000


class Remembered:
    """Texts about files, in a JSON file that may be lost at any time.

    Parameters
    ----------
    path
        Where they are kept.
    root
        Paths are stored relative to it, so that the whole may be moved.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self._path, self._root = path, root
        self._known: dict[str, tuple[int, int, str]] = {}
        self._changed = False
        with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            known = json.loads(sealed_bytes(path))
            known.pop(seal.KEY, None)
            self._known = {name: tuple(entry) for name, entry in known.items()}

    def get(self, path: Path, find_out: Callable[[Path], str]) -> str:
        """What `find_out` said of this file, or says now.

        Raises
        ------
        OSError
            If the file is not there.
        """
        try:
            stat = path.stat()
        except FileNotFoundError:
            if path.is_symlink():  # it leads nowhere, which reading tells
                return find_out(path)
            raise
        name = path.relative_to(self._root).as_posix()
        entry = self._known.get(name)
        if entry is not None and entry[:2] == (stat.st_size, stat.st_mtime_ns):
            return entry[2]
        text = find_out(path)
        if time.time_ns() - stat.st_mtime_ns > _TOO_YOUNG_NS:
            self._known[name] = (stat.st_size, stat.st_mtime_ns, text)
            self._changed = True
        return text

    def save(self) -> None:
        """Keep what was found out; a folder that cannot be written costs time, nothing else."""
        if self._changed:
            with suppress(OSError):
                write_sealed(self._path, self._known)
            self._changed = False
