"""Kill the driver at any moment; the same command gives the same table."""

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import drivers
import pytest
from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.output.ledger import Ledger

pytestmark = pytest.mark.fault

EXPERIMENT = """\
name: kill
store: {store}
datasets: [blobs]
models: [majority, ststnet]
recipes:
  ststnet: {{epochs: 60, batch_size: 8, order: shuffled, keep_every: 20}}
"""


def run_here(folder: Path, out: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """The same command in this process, whose Ray has started already."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(folder / "kill.yaml"), "--out", str(folder / out), "--json"])
    assert not stopped.value.code
    return json.loads(capsys.readouterr().out)


def test_a_killed_driver_loses_nothing(ray_session: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(12, 4))
    (tmp_path / "kill.yaml").write_text(EXPERIMENT.format(store=tmp_path / "store"))
    undisturbed = run_here(tmp_path, "runs/undisturbed", capsys)

    ledger = Ledger(tmp_path / "runs/killed/ledger")
    run = drivers.start(tmp_path, "run", "kill.yaml", "--out", "runs/killed")
    drivers.wait_for(lambda: len(ledger.ids()) >= 15, run)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    kept = {job: (ledger.root / f"{job}.arrow").stat().st_mtime_ns for job in ledger.ids()}

    resumed = run_here(tmp_path, "runs/killed", capsys)
    assert resumed["score"] == undisturbed["score"]
    assert resumed["status"] == undisturbed["status"]
    assert len(kept) >= 15
    assert {job: (ledger.root / f"{job}.arrow").stat().st_mtime_ns for job in kept} == kept, "a finished fold ran again"
    whole = Ledger(tmp_path / "runs/undisturbed/ledger")
    assert ledger.ids() == whole.ids()
    for job in whole.ids():
        assert ledger.read(job).logits.tobytes() == whole.read(job).logits.tobytes()


COUNTED = """
import os, time
from mer_models.baselines import fit_majority
from mer_models.spec import ModelSpec, Recipe, register

def fit(spec, arrays, recipe, seed, device):
    if len(arrays.labels) > 6:  # not the few clips of a rehearsal
        file = os.open(os.environ["ATTEMPTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{seed}\\n".encode())
        os.close(file)
        time.sleep(0.5)
    return fit_majority(spec, arrays, recipe, seed, device)

register(ModelSpec(name="counted", paper="none", inputs=(), recipe=Recipe(epochs=1), fit=fit))
"""
KILLS, CORES = 3, 2


def test_kills_cost_no_more_attempts_than_were_in_flight_and_every_fold_is_committed_once(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(12, 4))
    (tmp_path / "counted.py").write_text(COUNTED)
    experiment = {"name": "counts", "store": str(tmp_path / "store"), "datasets": ["blobs"], "models": ["counted"]}
    (tmp_path / "counts.yaml").write_text(json.dumps({**experiment, "plugins": ["counted.py"], "seeds": [0, 1, 2]}))
    ledger, committed = Ledger(tmp_path / "runs/counts/ledger"), dict[str, int]()
    arguments = ("run", "counts.yaml", "--out", "runs/counts", "--cpus", str(CORES))

    def written() -> dict[str, int]:
        return {job: (ledger.root / f"{job}.arrow").stat().st_mtime_ns for job in ledger.ids()}

    for kill in range(1, KILLS + 1):
        run = drivers.start(tmp_path, *arguments, ATTEMPTS=str(tmp_path / "attempts"))
        drivers.wait_for(lambda: len(ledger.ids()) >= 9 * kill, run)  # noqa: B023 - it is asked within this round
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        assert committed.items() <= written().items(), "a committed fold was committed again"
        committed = written()
    document = drivers.finish(tmp_path, *arguments, ATTEMPTS=str(tmp_path / "attempts"))
    assert document["status"]["jobs"]["done"] == 36
    assert committed.items() <= written().items()
    attempts = Counter((tmp_path / "attempts").read_text().split())
    assert len(attempts) == 36
    assert attempts.total() <= 36 + KILLS * CORES


def test_ctrl_c_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(12, 4))
    text = EXPERIMENT.format(store=tmp_path / "store").replace("epochs: 60", "epochs: 3000")
    (tmp_path / "kill.yaml").write_text(text)
    run = drivers.start(tmp_path, "run", "kill.yaml", "--out", "runs/stopped")
    ledger = Ledger(tmp_path / "runs/stopped/ledger")
    drivers.wait_for(lambda: len(ledger.ids()) >= 13, run)
    os.kill(run.pid, signal.SIGINT)
    status, output, errors = drivers.end(run, 60)
    assert status == 130, errors
    assert "the same command continues from here" in errors
    assert output == ""
    assert not (tmp_path / "runs/stopped/cost.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "told"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", ["imports", "raylet", "folds"])
def test_a_run_that_is_told_to_stop_says_so_in_one_line(tmp_path: Path, number: int, told: int, moment: str) -> None:
    """Also while Ray starts, which would lose it."""
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(12, 4))
    text = EXPERIMENT.format(store=tmp_path / "store").replace("epochs: 60", "epochs: 3000")
    (tmp_path / "kill.yaml").write_text(text)
    run = drivers.start(tmp_path, "run", "kill.yaml", "--out", "runs/stopped")
    ledger = Ledger(tmp_path / "runs/stopped/ledger")
    reached = {"imports": lambda: sleeps(1.0), "folds": lambda: len(ledger.ids()) >= 2}
    drivers.wait_for(reached.get(moment, lambda: drivers.workers(run.pid, moment)), run)
    os.kill(run.pid, number)
    status, output, errors = drivers.end(run, 60)
    assert status == told, errors
    assert errors.splitlines()[-1] == "stopped; the same command continues from here"
    assert "Traceback" not in errors
    assert output == ""


def sleeps(seconds: float) -> bool:
    time.sleep(seconds)
    return True
