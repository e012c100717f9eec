"""Ray: settings that must be made before it starts, joining a cluster, and starting one on this machine."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mer_data.problems import BadInput, Problem

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
    """What the cluster has for jobs."""

    cpus: int
    gpus: float


class Cluster:
    """The running Ray cluster, or one on this machine; joined or started when somebody first asks for it.

    A context manager: at the end a cluster that was started here stops. Inside a session that has called
    ``ray.init`` already, that one is used and left running.
    """

    def __init__(self) -> None:
        self._ours = False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            import ray

            ray.shutdown()

    @cached_property
    def resources(self) -> Resources:
        """What there is; joins or starts the cluster."""
        self._ours = start()
        import ray

        have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return Resources(max(1, int(have.get("CPU", 1))), float(have.get("GPU", 0)))


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
    packages = [str(_ROOT / name) for name in ("mer_data", "mer_models", "orchestrator")]
    try:
        ray.init(address=address, runtime_env={"py_modules": packages}, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        remedy = "unset RAY_ADDRESS, or `ray stop`, to run on this machine alone"
        raise BadInput(Problem(f"Ray cluster {address}", f"cannot be joined: {error}", remedy)) from error
    return True


def _started_cluster() -> str | None:
    """The address of the cluster that ``ray start`` (or ``ray up``, or Slurm) made this machine part of.

    ``address="auto"`` would also join the private cluster of another run on this machine, and die with it. The file
    that ``ray start`` leaves behind outlives a crash, so it counts only if somebody answers there.
    """
    told = os.environ.get("RAY_ADDRESS")
    if told:
        return told
    temporary = Path(os.environ.get("RAY_TMPDIR") or "/tmp")  # noqa: S108 - where Ray keeps its files
    try:
        address = (temporary / "ray" / "ray_current_cluster").read_text(encoding="utf-8").strip()
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return None
    return address
