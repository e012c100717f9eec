"""A folder and one in object storage, kept in step."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from mer_data.files import write_json
from mer_data.problems import BadInput
from mer_data.storage.remote import Remote, Stamp

_AT_A_TIME = 16  # requests; each mostly waits for the network
_KNOWN = ".mirror.json"

_Known = dict[str, tuple[Stamp, Stamp]]


class Mirror:
    """Files of a folder on this machine and of one in object storage.

    What is written here goes there with :meth:`push`, what another machine wrote comes here with :meth:`pull`. A file
    that changed on both sides is taken from there. Hidden files stay here. A file that disappears on one side comes
    back from the other one, except for fleeting ones: somebody may have emptied a cache, or deleted too much.

    Parameters
    ----------
    remote
        The folder in object storage; its copies lie in `folder`.
    folder
        The folder on this machine.
    excluded
        First parts of the paths of files that stay where they are, on both sides.
    fleeting
        Subfolders in which files come and go.
    """

    def __init__(
        self, remote: Remote, folder: Path, excluded: Iterable[str] = (), fleeting: Iterable[str] = ()
    ) -> None:
        self._remote, self._folder = remote, folder
        self._excluded, self._fleeting = frozenset(excluded), tuple(f"{name}/" for name in fleeting)
        self._seen: set[str] = set()

    def pull(self, *, without: str | None = None, tell: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Bring here what is new or changed there.

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
                if name.startswith(self._fleeting) and here.get(name) == here_then:
                    (self._folder / name).unlink(missing_ok=True)
            wanted = [
                name
                for name, stamp in there.items()
                if PurePosixPath(name).parts[0] != without
                and (name not in here or name not in known or known[name][1] != stamp)
            ]

            def fetch(name: str) -> None:
                self._remote.fetch(name)
                known[name] = _stamp(self._folder / name), there[name]

            _each(fetch, wanted, tell)
            self._seen = set(self._here())

    def push(self) -> None:
        """Send what is new or changed here.

        Raises
        ------
        BadInput
            If object storage cannot be reached. What was sent is not sent again.
        """
        with self._known() as known:
            here = self._here()
            changed = [name for name, stamp in here.items() if name not in known or known[name][0] != stamp]
            changed.sort(key=lambda name: (name.count("/"), name))  # results before weights

            def send(name: str) -> None:
                self._remote.push(name)
                # The stamp from before it was sent: what was appended meanwhile is sent the next time.
                known[name] = here[name], self._remote.stamp(name)

            _each(send, changed)
            for name in self._seen - here.keys():
                if name.startswith(self._fleeting):
                    self._remote.delete(name)
                    known.pop(name, None)
            self._seen = set(here)

    def _here(self) -> dict[str, Stamp]:
        found = {}
        for folder, _, names in os.walk(self._folder, onerror=_raise):
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
    def _known(self) -> Iterator[_Known]:
        """What was in step last, by name: the stamps here and there. Held by one process of this machine at a time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        known: _Known = {}
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


def _each(
    copy: Callable[[str], None], names: Sequence[str], tell: Callable[[int, int], None] = lambda done, of: None
) -> None:
    """Copy files, several at a time, and raise the first error at the end; many errors end it at once.

    A file that was removed since it was listed is none.
    """
    errors: list[BadInput] = []
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        futures = [pool.submit(copy, name) for name in names]
        for done, future in enumerate(as_completed(futures), 1):
            try:
                future.result()
            except FileNotFoundError:
                pass
            except BadInput as error:
                errors.append(error)
                if len(errors) == _AT_A_TIME:
                    pool.shutdown(wait=False, cancel_futures=True)
                    break
            tell(done, len(names))
    if errors:
        raise errors[0]


def _raise(error: OSError) -> None:
    """A folder that cannot be listed is not an empty one; one that is gone is."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
