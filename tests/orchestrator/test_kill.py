"""Kill the driver at any moment; the same command gives the same table."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from blobs import blob_clips, write_blobs

from mer_data.store import Store
from orchestrator.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = """\
name: kill
store: {store}
datasets: [blobs]
models: [majority, ststnet]
recipes:
  ststnet: {{epochs: 60, batch_size: 8, order: shuffled, keep_every: 20}}
"""


def start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "orchestrator/run_all.py"), "kill.yaml", "--out", out, "--json"]
    # A driver of its own: neither the tests' Ray nor its address.
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(folder: Path, out: str) -> dict[str, Any]:
    run = start(folder, out)
    output, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors.decode()
    document: dict[str, Any] = json.loads(output)
    return document


def wait_for(ledger: Ledger, done: int, run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while len(ledger.ids()) < done and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.poll() is None, "the run ended before it could be stopped"


def test_a_killed_driver_loses_nothing(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(12, 4))
    (tmp_path / "kill.yaml").write_text(EXPERIMENT.format(store=tmp_path / "store"))
    undisturbed = finish(tmp_path, "runs/undisturbed")

    ledger = Ledger(tmp_path / "runs/killed/ledger")
    run = start(tmp_path, "runs/killed")
    wait_for(ledger, 15, run)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept = {job: (ledger.root / f"{job}.arrow").stat().st_mtime_ns for job in ledger.ids()}

    resumed = finish(tmp_path, "runs/killed")
    assert resumed["score"] == undisturbed["score"]
    assert resumed["status"] == undisturbed["status"]
    assert len(kept) >= 15
    assert {job: (ledger.root / f"{job}.arrow").stat().st_mtime_ns for job in kept} == kept, "a finished fold ran again"
    whole = Ledger(tmp_path / "runs/undisturbed/ledger")
    assert ledger.ids() == whole.ids()
    for job in whole.ids():
        assert ledger.read(job).logits.tobytes() == whole.read(job).logits.tobytes()


@pytest.mark.fault
def test_ctrl_c_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(12, 4))
    text = EXPERIMENT.format(store=tmp_path / "store").replace("epochs: 60", "epochs: 3000")
    (tmp_path / "kill.yaml").write_text(text)
    run = start(tmp_path, "runs/stopped")
    wait_for(Ledger(tmp_path / "runs/stopped/ledger"), 13, run)
    os.kill(run.pid, signal.SIGINT)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors.decode()
    assert "the same command continues from here" in errors.decode()
    assert output == b""
    assert not (tmp_path / "runs/stopped/cost.jsonl").exists()
