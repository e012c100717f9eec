"""Ray: settings that must be made before it starts, joining a cluster, and starting one on this machine."""

from __future__ import annotations

import getpass
import hashlib
import importlib
import importlib.metadata
import ipaddress
import logging
import os
import socket
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from mer_data.problems import BadInput, Problem, raise_all

_PACKAGES = ("mer_data", "mer_models", "orchestrator")
# Libraries whose versions decide numbers.
_LIBRARIES = ("torch", "numpy", "scikit-learn", "opencv-contrib-python-headless")
_RUN_ALONE = "unset RAY_ADDRESS, or `ray stop`, to run on this machine alone"
_ROOT = Path(__file__).resolve().parents[2]

# Measured with Ray 2.60: each of the TUNE settings takes milliseconds off every trial.
_SETTINGS = {
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


@dataclass(frozen=True)
class Resources:
    """What the cluster has for jobs, or will have when it has grown as far as its configuration lets it.

    Attributes
    ----------
    cpus, gpus
        Of all machines.
    cpus_without_gpu
        Those of the machines that have no GPU.
    machines
        How many there are now; 0 if Ray was started for this run.
    absent
        How many of those that the cluster's file lists have not joined yet.
    """

    cpus: int
    gpus: float
    cpus_without_gpu: int = 0
    machines: int = 0
    absent: int = 0


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

    def __enter__(self) -> Cluster:
        if on_standing_cluster():
            try:
                self._join()
            except BadInput as error:
                self._refused = error  # told to whoever needs the cluster; perhaps nobody does
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            import ray

            ray.shutdown()

    def _join(self) -> None:
        self._ours, self._joined = start(self._cpus), True
        if self._ours and on_standing_cluster():
            self._asked = _ask_machines()

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
        _refuse_other_code(self._asked)
        return count()


def count() -> Resources:
    """What the cluster that this process has joined has now, or will have when it has grown."""
    import ray

    have: dict[str, float] = ray.cluster_resources()
    standing = on_standing_cluster()
    file = _cluster_file() if standing else {}
    kinds = _kinds_when_grown(file)
    most = _when_grown(kinds)
    cpus, gpus = (max(have.get(name, 0), most.get(name, 0)) for name in ("CPU", "GPU"))
    now = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    plain = max(_cpus_without_gpu(now), _cpus_without_gpu(kinds))
    absent = max(0, _listed_machines(file) - len(now))
    return Resources(max(1, int(cpus)), float(gpus), plain, len(now) if standing else 0, absent)


def _cpus_without_gpu(machines: Sequence[Mapping[str, float]]) -> int:
    return int(sum(one.get("CPU", 0) for one in machines if not one.get("GPU")))


def _when_grown(kinds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a cluster that `ray up` started may grow to: it has no GPU before a job asks for one."""
    most: Counter[str] = Counter()
    for kind in kinds:
        most.update(kind)
    return dict(most)


def _listed_machines(file: Mapping[str, Any]) -> int:
    """How many machines with ssh the cluster file lists, the head included; 0 if it lists none."""
    provider = file.get("provider", {})
    return 1 + len(provider["worker_ips"]) if "worker_ips" in provider else 0


def _cluster_file() -> dict[str, Any]:
    """Ray tells nobody what a cluster may become, but the head has the file that `ray up` took, filled in."""
    path = Path("~/ray_bootstrap_config.yaml").expanduser()
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _kinds_when_grown(file: Mapping[str, Any]) -> list[dict[str, float]]:
    """The same by kind of machine."""
    types = file.get("available_node_types", {})
    return [
        {name: amount * one.get("max_workers", 0) for name, amount in one.get("resources", {}).items()}
        for one in types.values()
    ]


def start(cpus: int | None = None) -> bool:
    """Join or start Ray with this project's settings; returns whether it was not running in this process before.

    Parameters
    ----------
    cpus
        Cores of a cluster started here; all of the machine's if None.
    """
    for name, value in _SETTINGS.items():
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
    address = _started_cluster()
    if address is None:
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        return True
    _check_token(address)
    packages = [str(_ROOT / name) for name in _PACKAGES]
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


def code_version() -> str:
    """Twelve letters that stand for every file of the three packages, as this process finds them."""
    whole = hashlib.sha256()
    for name in _PACKAGES:
        folder = Path(importlib.import_module(name).__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                whole.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
                whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:12]


def _check_token(address: str) -> None:
    """Refuse a cluster that lets in whoever reaches its ports, and one that does not let us in.

    Without this Ray would join the first without a word, and try the second for long. ``RAY_AUTH_MODE=disabled`` says
    that an open one is meant.
    """
    meant = os.environ.get("RAY_AUTH_MODE") == "disabled"
    where, refusal = f"Ray cluster {address}", _knock(address, "disabled")
    if not refusal:
        if not meant and not _is_loopback(address.rpartition(":")[0]):
            what = "asks for no token: whoever reaches its ports can run programs on all of its machines"
            remedy = (
                "stop it, run `ray get-auth-token --generate`, start it again; RAY_AUTH_MODE=disabled if it is meant"
            )
            raise BadInput(Problem(where, what, remedy))
    elif "InvalidAuthToken" in refusal:
        if meant or _knock(address, "token"):
            what = "does not take the token in ~/.ray/auth_token or RAY_AUTH_TOKEN of this machine, or there is none"
            raise BadInput(
                Problem(where, what, "copy that of the cluster here, or run `ray up` again to bring it yours")
            )
        # This process has imported Ray already, perhaps without RAY_AUTH_MODE; Ray does this for clusters it starts.
        from ray._private.authentication.authentication_token_setup import _enable_token_auth

        _enable_token_auth()
    else:
        raise BadInput(Problem(where, f"cannot be joined: {refusal}", _RUN_ALONE))


def _knock(address: str, mode: str) -> str:
    """What a cluster answers to one who has no token (mode ``disabled``), or to us; nothing if it lets them in."""
    import ray
    from ray._raylet import AuthenticationTokenLoader, Config, GcsClient  # type: ignore[attr-defined]

    before = os.environ.get("RAY_AUTH_MODE")
    try:
        if mode == "token" and not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
            return "InvalidAuthToken: there is none"  # Ray would end this process
        os.environ["RAY_AUTH_MODE"] = mode
        Config.initialize("")  # Ray reads its settings once; this reads them anew
        with _silent():
            GcsClient(address=address)
    except (ray.exceptions.RayError, ray.exceptions.RpcError, RuntimeError, ValueError, ConnectionError) as error:
        return str(error)
    finally:
        if before is None:
            os.environ.pop("RAY_AUTH_MODE", None)
        else:
            os.environ["RAY_AUTH_MODE"] = before
        Config.initialize("")
    return ""


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what a C library writes from the terminal: being turned away here is no news for the user."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(socket.gethostbyname(host.strip("[]"))).is_loopback
    except OSError:
        return False


def _ask_machines() -> list[tuple[str, Any]]:
    """Ask a worker on each machine what runs there: host name and Ray's promise of an answer.

    Workers get the packages from here; a machine whose PYTHONPATH holds an old copy would use that one all the same.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    what_runs()  # now, when the packages have just been sent
    tell = ray.remote(num_cpus=0)(_tell_what_runs)
    asked = []
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
            asked.append((node["NodeManagerHostname"], tell.options(scheduling_strategy=there).remote()))
    return asked


def _refuse_other_code(asked: Sequence[tuple[str, Any]]) -> None:
    """Refuse a cluster with a machine whose workers would run other code or other libraries than this process."""
    if not asked:
        return
    import ray

    told = zip([host for host, _ in asked], ray.get([answer for _, answer in asked]), strict=True)
    problems = [unlike(host, there, what_runs()) for host, there in told]
    raise_all(problem for problem in problems if problem is not None)


def unlike(host: str, there: Mapping[str, str], here: Mapping[str, str]) -> Problem | None:
    """What is wrong with a machine whose workers run other code or libraries than the driver; None if they do not."""
    other = [f"{name} {there[name]}, here {here[name]}" for name in here if there[name] != here[name]]
    remedy = "bring the project to all machines (`ray up`), and leave PYTHONPATH unset there"
    return Problem(f"machine {host}", f"runs {'; '.join(other)}", remedy) if other else None


@cache
def what_runs() -> Mapping[str, str]:
    """The code version and the libraries' versions, as this process first found them: an edit later changes nothing.

    Without what tells builds for different GPUs apart.
    """
    return {"the project's code": code_version(), **{name: _version(name) for name in _LIBRARIES}}


def _tell_what_runs() -> dict[str, str]:
    return dict(what_runs())


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:  # it may come in another package
        return "(not installed)"


def came_by_ssh() -> str | None:
    """``USER@HOST`` as whoever came by ssh calls this machine; None if nobody did."""
    told = os.environ.get("SSH_CONNECTION", "").split()  # client, its port, this machine as the client calls it, port
    return f"{getpass.getuser()}@{told[2]}" if len(told) == 4 else None


def dashboard() -> str | None:
    """How to see the page of the running cluster's dashboard; None if there is none that this machine reaches.

    Where somebody came by ssh, as ``ray submit`` does, it is what to type on the machine they came from.
    """
    from ray._private.worker import get_dashboard_url

    url: str = get_dashboard_url() or ""
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
    return _started_cluster() is not None


def _started_cluster() -> str | None:
    """The address of the cluster that ``ray start`` (or ``ray up``, or Slurm) made this machine part of.

    ``address="auto"`` would also join the private cluster of another run on this machine, and die with it. The file
    that ``ray start`` leaves behind outlives a crash, so it counts only if somebody answers there.
    """
    told = os.environ.get("RAY_ADDRESS")
    if told and told != "auto":
        return told
    temporary = Path(os.environ.get("RAY_TMPDIR") or "/tmp")  # noqa: S108 - where Ray keeps its files
    try:
        address = (temporary / "ray" / "ray_current_cluster").read_text(encoding="utf-8").strip()
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return None
    return address
