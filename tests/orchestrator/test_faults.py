"""What goes wrong in a long search: kills, lost workers, full disks, hanging folds. The table stays the same."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import drivers
import numpy as np
import pytest
from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import Dispatcher

pytestmark = pytest.mark.fault

KILLS = 50
EXPERIMENT = """\
name: faults
store: {store}
datasets: [blobs]
models: [majority, ststnet]
recipes:
  ststnet: {{epochs: 30, lr: 0.01, batch_size: 8, order: shuffled, keep_every: 10}}
search: {{configurations: 3}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and an experiment."""
    folder = tmp_path_factory.mktemp("faults")
    write_blobs(Store(folder / "store"), "blobs", blob_clips(8, 4))
    (folder / "faults.yaml").write_text(EXPERIMENT.format(store=folder / "store"))
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Any:
    """The document of a run that nothing happened to."""
    return drivers.finish(folder, "run", "faults.yaml", "--out", "runs/undisturbed")


def compare(document: Any, undisturbed: Any) -> None:
    assert document["score"] == undisturbed["score"]
    assert document["status"]["jobs"]["missing"] == document["status"]["jobs"]["failed"] == 0


def logits(out: Path) -> dict[str, bytes]:
    ledger = Ledger(out / "ledger")
    return {job: ledger.read(job).logits.tobytes() for job in ledger.ids()}


@pytest.mark.slow
def test_fifty_kills_at_random_moments_lose_nothing(folder: Path, undisturbed: Any) -> None:
    moments = random.Random(20261121)
    out, kills, runs = folder / "runs/killed", 0, 0
    committed: dict[str, bytes] = {}
    while kills < KILLS:
        run = drivers.start(folder, "run", "faults.yaml", "--out", out, "--json")
        time.sleep(moments.uniform(1, 16))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            kills += 1
            now = logits(out)
            assert committed.items() <= now.items(), "a committed result was lost or changed"
            committed = now
        else:
            status, output, errors = drivers.end(run)
            assert status == 0, errors
            compare(json.loads(output), undisturbed)
            shutil.rmtree(out)
            committed, runs = {}, runs + 1
    compare(drivers.finish(folder, "run", "faults.yaml", "--out", out), undisturbed)
    # What is in both ledgers is equal to the byte; beyond a race's end, more or less may have been trained.
    whole, killed = logits(folder / "runs/undisturbed"), logits(out)
    assert all(killed[job] == whole[job] for job in killed.keys() & whole.keys())


def test_lost_workers_are_replaced(folder: Path, undisturbed: Any) -> None:
    chance, out = random.Random(1), folder / "runs/workers"
    run = drivers.start(folder, "run", "faults.yaml", "--out", out, "--json")
    ledger, killed, seen = Ledger(out / "ledger"), 0, 0
    while run.poll() is None:
        time.sleep(0.2)
        done = len(ledger.ids())
        # About one worker for every third fold.
        if done > seen and killed < 0.3 * done:
            seen = done
            victims = drivers.workers(run.pid, "Trainable")
            if victims:
                os.kill(chance.choice(victims), signal.SIGKILL)
                killed += 1
    drivers.end(run)
    assert killed >= 5
    # A fold whose worker was lost three times has failed; the same command tries it again.
    compare(drivers.finish(folder, "run", "faults.yaml", "--out", out), undisturbed)


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[None]:
    place.mkdir(parents=True)
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("this user may not mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(folder: Path, undisturbed: Any, tmp_path: Path) -> None:
    out = tmp_path / "small"
    with small_disk(out, "size=220k"):
        status, _, errors = drivers.end(drivers.start(folder, "run", "faults.yaml", "--out", out))
        assert status == 2, errors
        assert "No space left on device" in errors
        assert "Traceback" not in errors
        before = logits(out)
        subprocess.run(["mount", "-o", "remount,size=64m", out], check=True)
        compare(drivers.finish(folder, "run", "faults.yaml", "--out", out), undisturbed)
        assert before.items() <= logits(out).items()


def test_a_folder_that_cannot_be_written_is_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "fixed"
    with small_disk(out, "size=1m"):
        subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        status, _, errors = drivers.end(drivers.start(folder, "run", "faults.yaml", "--out", out))
    assert status == 2
    assert "Read-only file system" in errors
    assert "Traceback" not in errors


HANGING = '''
import time
from mer_models.spec import ModelSpec, Outcome, Recipe, register
from mer_models.baselines import fit_majority

def fit(spec, arrays, recipe, seed, device):
    """Hangs on one fold in three."""
    while seed % 3 == 0:
        time.sleep(0.1)
    return fit_majority(spec, arrays, recipe, seed, device)

register(ModelSpec(name="hanging", paper="none", inputs=(), recipe=Recipe(epochs=1), fit=fit))
'''


def test_a_hanging_fold_is_ended_and_the_rest_goes_on(folder: Path) -> None:
    (folder / "hanging.py").write_text(HANGING)
    changes = ("models=[hanging]", "search=null", "recipes={}", "fold_minutes=0.2")
    settings = [part for change in changes for part in ("--set", change)]
    arguments = ("run", "faults.yaml", "--models", "hanging.py", "--out", "runs/hanging", "--json", *settings)
    status, output, errors = drivers.end(drivers.start(folder, *arguments))
    jobs = json.loads(output)["status"]
    assert status == 1, errors
    assert 0 < jobs["jobs"]["failed"] < 8
    assert jobs["jobs"]["done"] == 8 - jobs["jobs"]["failed"]
    assert {failure["reason"] for failure in jobs["failures"]} == {"took longer than 0.2 minutes (fold_minutes)"}


ENDING = '''
import os
import sys
import threading
from mer_models.spec import ModelSpec, Recipe, register
from mer_models.baselines import fit_majority

def quits(spec, arrays, recipe, seed, device):
    sys.exit(3)

def dies(spec, arrays, recipe, seed, device):
    os._exit(1)

def dies_later(spec, arrays, recipe, seed, device):
    """Gives its result, and takes the process with it a moment later."""
    threading.Timer(1.0, os._exit, (1,)).start()
    return fit_majority(spec, arrays, recipe, seed, device)

for fit in (quits, dies, dies_later):
    register(ModelSpec(name=fit.__name__, paper="none", inputs=(), recipe=Recipe(epochs=1), fit=fit))
'''


def test_models_that_end_their_process_cost_no_other_model_a_fold(folder: Path) -> None:
    (folder / "ending.py").write_text(ENDING)
    write_blobs(Store(folder / "store"), "few", blob_clips(3, 4))
    models = "models=[dies_later, quits, majority, dies]"
    settings = [
        part for change in (models, "datasets=[few]", "search=null", "recipes={}") for part in ("--set", change)
    ]
    arguments = ("run", "faults.yaml", "--models", "ending.py", "--out", "runs/ending", "--json", *settings)
    status, output, errors = drivers.end(drivers.start(folder, *arguments))
    assert status == 1, errors
    assert "Traceback" not in errors
    jobs = json.loads(output)["status"]
    assert jobs["jobs"]["missing"] == 0
    told = [(failure["model"], failure["reason"]) for failure in jobs["failures"]]
    assert [model for model, _ in told].count("majority") == 0
    assert [reason for model, reason in told if model == "quits"] == ["its code called sys.exit(3)"] * 3
    assert ["was lost 3 times" in reason for model, reason in told if model == "dies"] == [True] * 3


SPY = '''
import gc
import numpy as np
from mer_models.spec import ModelSpec, Outcome, Recipe, register

def look():
    """What this process holds that tells the class of a clip that is tested here."""
    everything = gc.get_objects()
    # Mappings of plain values are not in that list, only what refers to them.
    everything += [held for one in gc.get_objects() for held in gc.get_referents(one) if type(held) is dict]
    works = [one for one in everything if type(one).__name__ == "Work"]
    tested = {clip_id for work in works for clip_id in work.test_ids}
    found = []
    for one in everything:
        if type(one) is dict:
            found += [one[clip_id] for clip_id in tested if isinstance(one.get(clip_id), (str, int))]
        elif type(one).__name__ == "Cohort" or (type(one).__name__ == "Clip" and one.id in tested):
            found.append(one)
    return works, found

def fit(spec, arrays, recipe, seed, device):
    works, found = look()
    logits = np.zeros((1, arrays.test_clips, arrays.classes), np.float32)
    logits[..., 0] = 1 + len(found) if works else -1
    return Outcome((1,), logits)

register(ModelSpec(name="spy", paper="none", inputs=(), recipe=Recipe(epochs=1), fit=fit))
'''


def test_a_model_that_looks_for_classes_in_its_process_finds_none(folder: Path, tmp_path: Path) -> None:
    """The spy finds its own work in memory, and nothing there or beside it that tells a held-out clip's class."""
    (folder / "spy.py").write_text(SPY)
    settings = ("--set", "models=[spy]", "--set", "search=null", "--set", "recipes={}", "--models", "spy.py")
    drivers.finish(folder, "run", "faults.yaml", "--out", "runs/spy", *settings)
    ledger = Ledger(folder / "runs/spy/ledger")
    answers = [ledger.read(job).logits for job in ledger.ids()]
    assert len(answers) == 8
    assert all((one[..., 0] == 1).all() for one in answers)

    # In this process, which holds the plan, it would find the classes by clip and the cohort.
    code: dict[str, Any] = {}
    exec(SPY.split("register(")[0], code)  # noqa: S102 - our own text
    plan = Plan.load(folder / "runs/spy/plan.json")
    work = Dispatcher(plan, tmp_path).take(plan.jobs[0].id)
    assert work is not None
    found = code["look"]()[1]
    assert plan.datasets["blobs"].cohort.label_of[work.test_ids[0]] in found
    assert plan.datasets["blobs"].cohort in found


def test_mlflow_out_of_reach_costs_no_result(folder: Path, undisturbed: Any) -> None:
    arguments = ("run", "faults.yaml", "--out", "runs/unreachable", "--json")
    status, output, errors = drivers.end(drivers.start(folder, *arguments, MLFLOW_TRACKING_URI="http://127.0.0.1:9"))
    assert status == 0
    assert "MLflow was not written" in errors
    compare(json.loads(output), undisturbed)


def test_a_second_driver_is_refused_and_a_dead_ones_lock_is_taken_over(folder: Path, undisturbed: Any) -> None:
    out = folder / "runs/locked"
    first = drivers.start(folder, "run", "faults.yaml", "--out", out, "--json")
    drivers.wait_for(lambda: Ledger(out / "ledger").ids(), first)
    status, _, errors = drivers.end(drivers.start(folder, "run", "faults.yaml", "--out", out))
    assert status == 2
    assert f"is in use by process {first.pid} on " in errors
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    compare(drivers.finish(folder, "run", "faults.yaml", "--out", out), undisturbed)


def test_one_worker_and_two_give_the_same_bytes(folder: Path, undisturbed: Any) -> None:
    pinned = drivers.start(folder, "run", "faults.yaml", "--out", "runs/one", "--json", "--cpus", "1")
    status, output, errors = drivers.end(pinned)
    assert status == 0, errors
    compare(json.loads(output), undisturbed)
    one, two = logits(folder / "runs/one"), logits(folder / "runs/undisturbed")
    assert np.mean([one[job] == two[job] for job in one.keys() & two.keys()]) == 1
