"""A folder and one in object storage, kept in step."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from mer_data.files import write_json
from mer_data.remote import Remote, Stamp

_AT_A_TIME = 16  # requests; each mostly waits for the network
_KNOWN = ".mirror.json"


class Mirror:
    """Files of a folder on this machine and of one in object storage.

    What is written here goes there with :meth:`push`, what another machine wrote comes here with :meth:`pull`. A file
    that changed on both sides is taken from there. Hidden files stay here.

    Parameters
    ----------
    remote
        The folder in object storage; its copies lie in `folder`.
    folder
        The folder on this machine.
    excluded
        First parts of the paths of files that stay where they are, on both sides.
    """

    def __init__(self, remote: Remote, folder: Path, excluded: Iterable[str] = ()) -> None:
        self._remote, self._folder, self._excluded = remote, folder, frozenset(excluded)
        self._seen: set[str] = set()

    def pull(self, *, without: str | None = None, tell: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Bring here what is new or changed there, and remove what is gone there and has not changed here.

        Parameters
        ----------
        without
            A subfolder that is not fetched now.
        tell
            Is called with the number of files fetched and of those to fetch.

        Raises
        ------
        BadInput
            If object storage cannot be reached. What was fetched stays.
        """
        with self._known() as known:
            there = {name: stamp for name, stamp in self._remote.stamps().items() if self._takes_part(name)}
            here = self._here()
            for name in known.keys() - there.keys():
                here_then, _ = known.pop(name)
                if here.get(name) == here_then:  # else it is a newer one, to be sent
                    (self._folder / name).unlink()
            wanted = [
                name
                for name, stamp in there.items()
                if PurePosixPath(name).parts[0] != without
                and (name not in here or name not in known or known[name][1] != stamp)
            ]
            with ThreadPoolExecutor(_AT_A_TIME) as pool:
                for done, (name, fetched) in enumerate(zip(wanted, pool.map(self._fetch, wanted), strict=True), 1):
                    if fetched:
                        known[name] = _stamp(self._folder / name), there[name]
                    tell(done, len(wanted))
            self._seen = set(self._here())

    def _fetch(self, name: str) -> bool:
        try:
            self._remote.fetch(name)
        except FileNotFoundError:  # removed since it was listed
            return False
        return True

    def push(self) -> None:
        """Send what is new or changed here, and remove there what this object saw here before and is gone.

        A file that disappeared while nobody looked is fetched again by the next :meth:`pull`: somebody may have emptied
        a cache.

        Raises
        ------
        BadInput
            If object storage cannot be reached. What was sent is not sent again.
        """
        with self._known() as known:
            here = self._here()
            changed = [name for name, stamp in here.items() if name not in known or known[name][0] != stamp]
            with ThreadPoolExecutor(_AT_A_TIME) as pool:
                for name, stamp in zip(changed, pool.map(self._send, changed), strict=True):
                    if stamp is not None:
                        # The stamp from before it was sent: what was appended meanwhile is sent the next time.
                        known[name] = here[name], stamp
            for name in self._seen - here.keys():
                self._remote.delete(name)
                known.pop(name, None)
            self._seen = set(here)

    def _send(self, name: str) -> Stamp | None:
        try:
            self._remote.push(name)
            return self._remote.stamp(name)
        except FileNotFoundError:  # removed here since it was listed
            return None

    def _here(self) -> dict[str, Stamp]:
        found = {}
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                relative = path.relative_to(self._folder).as_posix()
                if self._takes_part(relative):
                    with suppress(FileNotFoundError):
                        found[relative] = _stamp(path)
        return found

    def _takes_part(self, name: str) -> bool:
        parts = PurePosixPath(name).parts
        return parts[0] not in self._excluded and not any(part.startswith(".") for part in parts)

    @contextmanager
    def _known(self) -> Iterator[dict[str, tuple[Stamp, Stamp]]]:
        """What was in step last, by name: the stamps here and there. Held by one process of this machine at a time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        known: dict[str, tuple[Stamp, Stamp]] = {}
        with (self._folder / ".mirror.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(OSError, ValueError, TypeError, AttributeError):  # without it, files are fetched once more
                entries = json.loads((self._folder / _KNOWN).read_text(encoding="utf-8")).items()
                known = {name: (tuple(here), tuple(there)) for name, (here, there) in entries}
            before = dict(known)
            try:
                yield known
            finally:
                if known != before:
                    write_json(self._folder / _KNOWN, known)


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
