"""Ray: settings that must be made before it starts, joining a cluster, and starting one on this machine."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Measured with Ray 2.60: each of the TUNE settings takes milliseconds off every trial.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
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


@contextmanager
def connected() -> Iterator[Resources]:
    """Join the running cluster, or start one on this machine and stop it at the end.

    Inside a session that has called ``ray.init`` already, that one is used and left running.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # Workers of a local cluster find the packages where this process did, installed or not.
    root = str(Path(__file__).resolve().parents[1])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, paths)])
    import ray

    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    ours = not ray.is_initialized()
    if ours:
        _start()
    have = ray.cluster_resources()
    try:
        yield Resources(max(1, int(have.get("CPU", 1))), float(have.get("GPU", 0)))
    finally:
        if ours:
            ray.shutdown()


def _start() -> None:
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    packages = [str(Path(__file__).resolve().parents[1] / name) for name in ("mer_data", "mer_models", "orchestrator")]
    try:
        ray.init(address="auto", runtime_env={"py_modules": packages}, **quiet)
    except ConnectionError:
        ray.init(address="local", include_dashboard=False, **quiet)
