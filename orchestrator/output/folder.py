"""Where results go: a folder that one driver holds, or one in object storage with its copy on this machine.

In object storage there are no locks. A driver writes ``driver.json`` there, and again every few seconds; another one
that finds it waits whether it changes, and takes over if it does not.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mer_data.problems import BadInput, Problem
from mer_data.storage.mirror import Mirror
from mer_data.storage.remote import Remote, cache_folder, is_remote
from orchestrator.console import Advance, Console

_SECONDS_BETWEEN = 10.0  # between two times that results are sent, and the driver is heard of
_SECONDS_UNHEARD = 40.0  # after which a driver is taken for dead
_SECONDS_TO_SETTLE = 1.0  # in which of two drivers that start at once the later one has written
_LEASE, _PLAN = "driver.json", "plan.json"


def default_output(name: str) -> str:
    """Where an experiment's results go if nothing else is said: in ``MER_RUNS``, else ``runs``."""
    runs = os.environ.get("MER_RUNS") or "runs"
    if not is_remote(runs):
        return str(Path(runs).expanduser() / name)
    path, mark, query = runs.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def known_results(address: Path | str) -> str:
    """The address of results: as it is or, where nothing is there, the same name below the folder where runs go."""
    text = str(address)
    if is_remote(text) or Path(text).exists() or Path(text).is_absolute():
        return text
    below = default_output(text)
    return below if is_remote(below) or Path(below).exists() else text


class Output:
    """An output folder.

    Parameters
    ----------
    address
        The folder, or the URI of one in object storage (``s3://bucket/runs/NAME``).

    Attributes
    ----------
    folder
        The folder on this machine.
    """

    def __init__(self, address: Path | str) -> None:
        self.address = str(address)
        self._remote: Remote | None = None
        if is_remote(self.address):
            path, _, query = self.address.partition("?")
            parent, _, name = path.rstrip("/").rpartition("/")
            parts = [part for part in path.partition("://")[2].split("/") if part]
            if len(parts) < 2 or {".", ".."} & set(parts):
                raise BadInput(Problem(self.address, "names no folder", "as in s3://bucket/runs/NAME"))
            # Experiments that are beside each other there are so here too, and share MLflow's database.
            self.folder = cache_folder(f"runs {parent}?{query}") / name
            self._remote = Remote(self.address, self.folder)
            self._mirror = Mirror(
                self._remote,
                self.folder,
                excluded=("tune", "driver.lock", _LEASE),
                fleeting=("ledger/running", "ledger/failures"),
            )
        else:
            self.folder = Path(address)

    def read(self, console: Console) -> Path:
        """The folder, up to date except for weights.

        Raises
        ------
        BadInput
            If object storage cannot be reached, or there are no results.
        """
        # Where the driver runs on this machine, nothing is newer than what it has here.
        if self._remote is not None and not _is_locked(self.folder):
            if not self._remote.has(_PLAN):
                raise BadInput(Problem(self.address, "holds no results", "check the address"))
            self._pull(console, without="weights")
        return self.folder

    def send(self) -> None:
        """Send what was written after :meth:`read`. Where a driver has the folder, it writes and sends its own.

        Raises
        ------
        BadInput
            If object storage cannot be reached, or nothing may be written there.
        """
        if self._remote is not None and not _is_locked(self.folder) and not self._remote.has(_LEASE):
            self._mirror.push()

    @contextmanager
    def held(self, console: Console) -> Iterator[Path]:
        """Hold the folder as its only driver; while it is held, what appears in it goes to object storage.

        Raises
        ------
        BadInput
            If another driver has it, or if the last results could not be sent.
        """
        with _locked(self.folder):
            if self._remote is None:
                yield self.folder
                return
            with _Lease(self._remote, self.address, self.folder, console) as lease:
                console.say(f"results go to {self.address}, by way of {self.folder}")
                self._fetch_earlier(self._remote, console)
                failed = False
                try:
                    with _Repeated(lambda: self._send(lease), self.address, console):
                        yield self.folder
                        console.say(f"sending the last results to {self.address}")
                except BaseException:
                    failed = True
                    raise
                finally:
                    self._send_the_rest(lease, console, failed=failed)

    def _fetch_earlier(self, remote: Remote, console: Console) -> None:
        """Fetch what earlier drivers found, unless the folder is one of other things."""
        ours = remote.has(_PLAN) or (self.folder / _PLAN).exists()
        if not ours and remote.stamps().keys() - {_LEASE}:
            raise BadInput(Problem(self.address, "holds other things than results", "choose a folder of its own"))
        self._pull(console)

    def _pull(self, console: Console, without: str | None = None) -> None:
        with ExitStack() as stack:
            shown: list[Advance] = []

            def tell(done: int, of: int) -> None:
                if not shown:
                    shown.append(stack.enter_context(console.progress("earlier results", of, "files")))
                shown[0].advance(1)

            self._mirror.pull(without=without, tell=tell)

    def _send(self, lease: _Lease) -> None:
        if lease.is_mine():
            self._mirror.push()

    def _send_the_rest(self, lease: _Lease, console: Console, *, failed: bool) -> None:
        try:
            try:
                self._send(lease)
            except (BadInput, OSError) as error:
                what = f"the last results could not be sent, they are in {self.folder} ({error})"
                raise BadInput(Problem(self.address, what, "the same command on this machine sends them")) from error
            if lease.lost is not None:
                what = f"was taken over by {lease.lost}, which had not heard of this run for {_SECONDS_UNHEARD:.0f} s"
                raise BadInput(Problem(self.address, what, f"what was found here is in {self.folder}"))
        except BadInput as error:
            if not failed:
                raise
            console.warn(str(error))  # beside what ended the run


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder. The lock goes with the process that holds it, however that one ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "driver.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _in_use(str(folder), file.read().strip()) from None
        file.truncate(0)
        file.write(_me())
        file.flush()
        yield


def _is_locked(folder: Path) -> bool:
    try:
        with (folder / "driver.lock").open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _in_use(address: str, by: str) -> BadInput:
    return BadInput(Problem(address, f"is in use by {by}", "wait, or choose another --out"))


class _Lease:
    """The right to write a folder in object storage, for as long as the driver is heard of.

    The folder on this machine must be locked: what its driver wrote there last is known to be of a dead one.

    Attributes
    ----------
    lost
        Who took it over, if somebody did.
    """

    def __init__(self, remote: Remote, address: str, folder: Path, console: Console) -> None:
        self._remote, self._address, self._console = remote, address, console
        self._mine, self._run, self._count = folder / ".lease", uuid.uuid4().hex, 0
        self.lost: str | None = None

    def __enter__(self) -> _Lease:
        found = self._read()
        if found is not None and found[0] != self._earlier():
            self._console.say(
                f"{self._address} was held by {found[1]}; listening for {_SECONDS_UNHEARD:.0f} s whether it still is"
            )
            time.sleep(_SECONDS_UNHEARD)
            again = self._read()
            if again not in (None, found):
                raise _in_use(self._address, again[1])
        self._mine.write_text(self._run, encoding="utf-8")
        self._write()
        time.sleep(_SECONDS_TO_SETTLE)
        self._beat()
        if self.lost is not None:
            raise _in_use(self._address, self.lost)
        self._heard = _Repeated(self._beat, self._address, self._console)
        self._heard.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._heard.__exit__()
        with suppress(BadInput):
            if self.is_mine():
                self._remote.delete(_LEASE)

    def _earlier(self) -> str | None:
        return self._mine.read_text(encoding="utf-8") if self._mine.exists() else None

    def _read(self) -> tuple[str, str, int] | None:
        """Run, holder and count of the lease that is there; None if there is none that can be read."""
        content = self._remote.read(_LEASE)
        with suppress(ValueError, KeyError, TypeError):
            lease = json.loads(content or b"")
            return str(lease["run"]), str(lease["holder"]), int(lease["count"])
        return None

    def _write(self) -> None:
        self._count += 1
        lease = {"run": self._run, "holder": _me(), "count": self._count}
        self._remote.write(_LEASE, json.dumps(lease).encode())

    def is_mine(self) -> bool:
        """Whether nobody has taken it over."""
        found = None if self.lost is not None else self._read()
        if found is not None and found[0] != self._run:
            self.lost = found[1]
            self._console.warn(f"{self._address} was taken over by {self.lost}; nothing more is sent there")
        return self.lost is None

    def _beat(self) -> None:
        if self.is_mine():
            self._write()


class _Repeated:
    """Does something again and again in a thread of its own; says when object storage is out of reach, and goes on."""

    def __init__(self, action: Callable[[], None], address: str, console: Console) -> None:
        self._action, self._address, self._console = action, address, console
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _repeat(self) -> None:
        told = False
        while not self._over.wait(_SECONDS_BETWEEN):
            try:
                self._action()
            except Exception as error:  # whatever it is, results are on this machine, and are tried again
                if not told:
                    self._console.warn(f"{error}\nResults are kept on this machine, and sent when it answers.")
                told = True
            else:
                if told:
                    self._console.say(f"{self._address} answers again")
                told = False
