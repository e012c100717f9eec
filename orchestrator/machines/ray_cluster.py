"""Ray: settings that must be made before it starts, joining a cluster, and starting one on this machine."""

from __future__ import annotations

import getpass
import ipaddress
import logging
import os
import socket
import threading
import warnings
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from mer_data.problems import BadInput, Problem
from orchestrator.machines.code_version import PACKAGES, ask_machines, refuse_other_code
from orchestrator.machines.interruption import put_off
from orchestrator.machines.local_ray import start_local, stop_local
from orchestrator.machines.ray_internals import dashboard_address, knock, send_token, without_its_sigterm
from orchestrator.machines.resources import Resources, count

_RUN_ALONE = "unset RAY_ADDRESS, or `ray stop`, to run on this machine alone"
_ROOT = Path(__file__).resolve().parents[2]

# Measured with Ray 2.60: each of the TUNE settings takes milliseconds off every trial.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run, not only Tune's part of it
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Cluster:
    """The running Ray cluster, or one on this machine.

    A context manager. Where a cluster stands already it is joined at once, and each of its machines is asked what code
    runs there: the answers take seconds, in which this process can plan. Else one is started when somebody first asks
    for its resources, and stops at the end. Inside a session that has called ``ray.init`` already, that one is used and
    left running.

    Parameters
    ----------
    cpus
        Cores of a cluster that is started here; all of the machine's if None.
    """

    def __init__(self, cpus: int | None = None) -> None:
        self._cpus, self._joined, self._ours = cpus, False, False
        self._refused: BadInput | None = None
        self._asked: list[tuple[str, Any]] = []
        self._end: threading.Thread | None = None

    def __enter__(self) -> Cluster:
        if on_standing_cluster():
            try:
                self._join()
            except BadInput as error:
                self._refused = error  # told to whoever needs the cluster; perhaps nobody does
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        if self._end is not None:
            self._end.join()

    def let_go(self) -> None:
        """Nobody needs the cluster any more: one that was started here ends, a second long, beside other work."""
        if self._ours and self._end is None:
            self._end = threading.Thread(target=stop_local, name="end-of-ray")
            self._end.start()

    def _join(self) -> None:
        with put_off(), without_its_sigterm():
            self._ours, self._joined = start(self._cpus), True
        if self._ours and on_standing_cluster():
            self._asked = ask_machines()

    @cached_property
    def resources(self) -> Resources:
        """What there is; joins or starts the cluster.

        Raises
        ------
        BadInput
            If it cannot be joined, or other code than ours would run on one of its machines.
        """
        if self._refused is not None:
            raise self._refused
        if not self._joined:
            self._join()
        refuse_other_code(self._asked)
        return count(standing=on_standing_cluster())


def start(cpus: int | None = None) -> bool:
    """Join or start Ray with this project's settings; returns whether it was not running in this process before.

    Parameters
    ----------
    cpus
        Cores of a cluster started here; all of the machine's if None.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    # Workers of a local cluster find the packages where this process did, installed or not.
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(_ROOT) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *filter(None, paths)])
    import ray

    if ray.is_initialized():
        return False
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = started_cluster()
    if address is None:
        start_local(cpus, **quiet)
        return True
    _hide_token()
    _check_token(address)
    packages = [str(_ROOT / name) for name in PACKAGES]
    try:
        ray.init(address=address, runtime_env={"py_modules": packages}, **quiet)
    except ray.exceptions.AuthenticationError as error:
        remedy = (
            "copy the cluster's ~/.ray/auth_token to this machine, or run `ray up` again to bring yours to all of its"
        )
        what = "refuses the token in ~/.ray/auth_token, or there is none"
        raise BadInput(Problem(f"Ray cluster {address}", what, remedy)) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BadInput(Problem(f"Ray cluster {address}", f"cannot be joined: {error}", _RUN_ALONE)) from error
    return True


def _hide_token() -> None:
    """Let nobody else read the token, which Ray writes as readable for all."""
    token = Path("~/.ray/auth_token").expanduser()
    with suppress(OSError):
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


def _check_token(address: str) -> None:
    """Refuse a cluster that lets in whoever reaches its ports, and one that does not let us in.

    Without this Ray would join the first without a word, and try the second for long. ``RAY_AUTH_MODE=disabled`` says
    that an open one is meant.
    """
    meant = os.environ.get("RAY_AUTH_MODE") == "disabled"
    where, refusal = f"Ray cluster {address}", knock(address, "disabled")
    if not refusal:
        if not meant and not _is_loopback(address.rpartition(":")[0]):
            what = "asks for no token: whoever reaches its ports can run programs on all of its machines"
            remedy = (
                "stop it, run `ray get-auth-token --generate`, start it again; RAY_AUTH_MODE=disabled if it is meant"
            )
            raise BadInput(Problem(where, what, remedy))
    elif "InvalidAuthToken" in refusal:
        if meant or knock(address, "token"):
            what = "does not take the token in ~/.ray/auth_token or RAY_AUTH_TOKEN of this machine, or there is none"
            raise BadInput(
                Problem(where, what, "copy that of the cluster here, or run `ray up` again to bring it yours")
            )
        send_token()
    else:
        raise BadInput(Problem(where, f"cannot be joined: {refusal}", _RUN_ALONE))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(socket.gethostbyname(host.strip("[]"))).is_loopback
    except OSError:
        return False


def came_by_ssh() -> str | None:
    """``USER@HOST`` as whoever came by ssh calls this machine; None if nobody did."""
    told = os.environ.get("SSH_CONNECTION", "").split()  # client, its port, this machine as the client calls it, port
    return f"{getpass.getuser()}@{told[2]}" if len(told) == 4 else None


def dashboard() -> str | None:
    """How to see the page of the running cluster's dashboard; None if there is none that this machine reaches.

    Where somebody came by ssh, as ``ray submit`` does, it is what to type on the machine they came from.
    """
    url = dashboard_address()
    host, _, port = url.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return None
    here = came_by_ssh()
    return f"ssh -N -L {port}:{url} {here}   and  http://127.0.0.1:{port}" if here else f"http://{url}"


def on_standing_cluster() -> bool:
    """Whether workers run on machines that others may join, and have the code that was sent to them.

    On this machine alone they read the same files as the driver, and an edit must not end a run.
    """
    return started_cluster() is not None


def started_cluster() -> str | None:
    """The address of the cluster that ``ray start`` (or ``ray up``, or Slurm) made this machine part of.

    ``address="auto"`` would also join the private cluster of another run on this machine, and die with it. The file
    that ``ray start`` leaves behind outlives a crash, so it counts only if somebody answers there. That of another user
    is not ours to join.
    """
    told = os.environ.get("RAY_ADDRESS")
    if told and told != "auto":
        return told
    temporary = Path(os.environ.get("RAY_TMPDIR") or "/tmp")  # noqa: S108 - where Ray keeps its files
    file = temporary / "ray" / "ray_current_cluster"
    try:
        if file.stat().st_uid != os.getuid():
            return None
        address = file.read_text(encoding="utf-8").strip()
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return None
    return address
