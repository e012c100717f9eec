"""What we ask of Ray beside its public interface: all of it, so that tests show what an update of Ray changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def send_token() -> None:
    """Let this process send its token, although it has imported Ray already; Ray does this for clusters it starts."""
    from ray._private.authentication.authentication_token_setup import _enable_token_auth

    _enable_token_auth()


def dashboard_address() -> str:
    """``HOST:PORT`` of the running cluster's dashboard; empty if it has none."""
    from ray._private.worker import get_dashboard_url

    return get_dashboard_url() or ""


def knock(address: str, mode: str) -> str:
    """What a cluster answers to one who has no token (mode ``disabled``), or to us; nothing if it lets them in."""
    import ray
    from ray._raylet import AuthenticationTokenLoader, Config, GcsClient  # type: ignore[attr-defined]

    before = os.environ.get("RAY_AUTH_MODE")
    try:
        if mode == "token" and not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
            return "InvalidAuthToken: there is none"  # Ray would end this process
        os.environ["RAY_AUTH_MODE"] = mode
        Config.initialize("")  # Ray reads its settings once; this reads them anew
        with silent():
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


def log_folder() -> Path:
    """Where the running Ray writes its log on this machine."""
    from ray._private import worker

    node: Any = worker._global_node
    return Path(node.get_logs_dir_path())


@contextmanager
def on_loopback() -> Iterator[None]:
    """A Ray that is started while this lasts listens on loopback only, as it always does on macOS."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def without_its_sigterm() -> Iterator[None]:
    """While this lasts, Ray does not take SIGTERM for itself: its driver would end without a word, with status 15."""
    from ray._private import utils

    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def forget_metrics(trial: Any) -> None:
    """Drop what a trial of Tune that has ended keeps of its metrics: their means over some steps, 17 of 25 kB.

    Tune holds every trial of a run until its end, and never reads these again.
    """
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()


@contextmanager
def silent() -> Iterator[None]:
    """Keep what a C library writes from the terminal: being turned away here is no news for the user."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
