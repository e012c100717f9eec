"""Ray: settings that must be made before it starts, joining a cluster, and starting one on this machine."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import ipaddress
import logging
import os
import socket
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mer_data.problems import BadInput, Problem, raise_all

_PACKAGES = ("mer_data", "mer_models", "orchestrator")
# Libraries whose versions decide numbers.
_LIBRARIES = ("torch", "numpy", "scikit-learn", "opencv-contrib-python-headless")
_ROOT = Path(__file__).resolve().parents[1]

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
    """What the cluster has for jobs, or will have when it has grown as far as its configuration lets it."""

    cpus: int
    gpus: float


class Cluster:
    """The running Ray cluster, or one on this machine; joined or started when somebody first asks for it.

    A context manager: at the end a cluster that was started here stops. Inside a session that has called
    ``ray.init`` already, that one is used and left running.

    Parameters
    ----------
    cpus
        Cores of a cluster that is started here; all of the machine's if None.
    """

    def __init__(self, cpus: int | None = None) -> None:
        self._cpus, self._ours = cpus, False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            import ray

            ray.shutdown()

    @cached_property
    def resources(self) -> Resources:
        """What there is; joins or starts the cluster."""
        self._ours = start(self._cpus)
        import ray

        have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        most = _when_grown() if _started_cluster() else {}
        cpus, gpus = (max(have.get(name, 0), most.get(name, 0)) for name in ("CPU", "GPU"))
        return Resources(max(1, int(cpus)), float(gpus))


def _when_grown() -> dict[str, float]:
    """What a cluster that `ray up` started may grow to: it has no GPU before a job asks for one.

    Ray tells nobody, but the head has the cluster file, filled in.
    """
    path = Path("~/ray_bootstrap_config.yaml").expanduser()
    most: Counter[str] = Counter()
    if path.is_file():
        types = yaml.safe_load(path.read_text(encoding="utf-8")).get("available_node_types", {})
        for one in types.values():
            for name, amount in one.get("resources", {}).items():
                most[name] += amount * one.get("max_workers", 0)
    return dict(most)


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
        remedy = "unset RAY_ADDRESS, or `ray stop`, to run on this machine alone"
        raise BadInput(Problem(f"Ray cluster {address}", f"cannot be joined: {error}", remedy)) from error
    try:
        _refuse_other_code()
    except BaseException:
        ray.shutdown()
        raise
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


def _knock(address: str, mode: str) -> str:
    """What a cluster answers to one who has no token, or to us; nothing if it lets them in.

    Ray reads its settings once per process, so another process asks.
    """
    ask = f"import ray._raylet; ray._raylet.GcsClient(address={address!r})"
    answer = subprocess.run(  # noqa: S603 - our own Python
        [sys.executable, "-c", ask],
        env={**os.environ, "RAY_AUTH_MODE": mode},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stderr if answer.returncode else ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(socket.gethostbyname(host.strip("[]"))).is_loopback
    except OSError:
        return False


def _refuse_other_code() -> None:
    """Refuse a cluster with a node whose workers would run other code or other libraries than this process.

    Workers get the packages from here; a node whose PYTHONPATH holds an old copy would use that one all the same.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    tell = ray.remote(num_cpus=0)(_what_runs)
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
    told = [
        tell.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True)).remote() for node in nodes
    ]
    here = _what_runs()
    remedy = "bring the project to all machines (`ray up`), and leave PYTHONPATH unset there"
    problems = []
    for host, there in zip(nodes.values(), ray.get(told), strict=True):
        other = [f"{name} {there[name]}, here {here[name]}" for name in here if there[name] != here[name]]
        if other:
            problems.append(Problem(f"machine {host}", f"runs {'; '.join(other)}", remedy))
    raise_all(problems)


def _what_runs() -> dict[str, str]:
    """The code version and the libraries' versions; without what tells builds for different GPUs apart."""
    versions = {name: importlib.metadata.version(name).partition("+")[0] for name in _LIBRARIES}
    return {"the project's code": code_version(), **versions}


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
