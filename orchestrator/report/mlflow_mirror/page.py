"""MLflow's page: that it opens on the scores, and how to start it."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mer_data.problems import BadInput, Problem
from orchestrator.machines.ray_cluster import came_by_ssh
from orchestrator.report.mlflow_mirror.store import shown, tracking_uri, writing

if TYPE_CHECKING:
    from mlflow import MlflowClient

PORT = 5000
_VIEW = "mer"
_COLUMNS = (
    "metrics.`uf1`",
    "metrics.`uf1_low`",
    "metrics.`uf1_high`",
    "metrics.`uar`",
    "metrics.`accuracy`",
    "metrics.`params`",
    "metrics.`flops`",
    "params.`model`",
    "params.`dataset`",
    "params.`seeds`",
    "tags.`status_note`",
)


def show_scores(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment of MLflow the view that the link opens: scores as columns, best first, no configurations."""
    view = {
        "searchFilter": "tags.level = 'study'",
        "orderByKey": "metrics.`uf1`",
        "orderByAsc": False,
        "lifecycleFilter": "Active",
        "startTime": "ALL",
        "datasetsFilter": [],
        "selectedColumns": list(_COLUMNS),
    }
    # As MLflow's page writes a view that is shared; a browser test opens it.
    text = "deflate;" + base64.b64encode(zlib.compress(json.dumps(view).encode())).decode()
    client.set_experiment_tag(experiment_id, f"mlflow.sharedViewState.{_VIEW}", text)


def ui_command(out: Path) -> str:
    """How to see the runs in a browser; a tracking server of the user's own has its own page.

    Where somebody came by ssh, as ``ray submit`` does, it is what to type on the machine they came from: the page stays
    on this machine's loopback, and ssh brings it there.
    """
    told = os.environ.get("MLFLOW_TRACKING_URI", "")
    if told.startswith(("http://", "https://")):
        return f"{shown(told).rstrip('/')}, the page of your tracking server (MLFLOW_TRACKING_URI)"
    beside = Path(sys.executable).with_name("mer")  # in the same virtual environment, on the path or not
    here = came_by_ssh()
    if here is not None:
        remote = shlex.join([str(beside), "ui", str(out.resolve())])
        return f"ssh -t -L {PORT}:127.0.0.1:{PORT} {here} {shlex.quote(remote)}"
    return shlex.join(["mer" if shutil.which("mer") else str(beside), "ui", str(out)])


def link(base: str, out: Path) -> str:
    """The address of the page with the scores of the newest experiment of MLflow.

    Raises
    ------
    BadInput
        If there is none yet.
    """
    with writing(out) as client:
        found = client.search_experiments(order_by=["last_update_time DESC"])
        ours = [known for known in found if f"mlflow.sharedViewState.{_VIEW}" in known.tags]
    if not ours:
        raise BadInput(Problem(shown(tracking_uri(out)), "has no runs of this program yet", f"mer track sync {out}"))
    number = ours[0].experiment_id
    return f"{base}/#/experiments/{number}/runs?workflowType=machine_learning&viewStateShareKey={_VIEW}"


@contextmanager
def served(out: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """MLflow's server on this machine's loopback: the link to the scores, and its process.

    Raises
    ------
    BadInput
        If the port is taken, or there are no runs.
    """
    base = f"http://127.0.0.1:{port}"
    address = link(base, out)
    _refuse_taken(port)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking_uri(out)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Without the server's runner of jobs, which nothing here uses, it comes up sooner and takes less memory.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(command, env={**os.environ, **quiet}) as server:  # noqa: S603 - our own interpreter
        try:
            yield address, server
        finally:
            server.terminate()


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise BadInput(Problem("--port", f"port {port} is taken", f"another one: --port {port + 1}")) from None
