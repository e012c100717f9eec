"""Several experiments that end at the same time, and mirrors that are rebuilt meanwhile, write one database."""

import multiprocessing
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from blobs import blob_clips, write_blobs
from trained import train

from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.experiment.config import load
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve

pytestmark = pytest.mark.fault

ROUNDS, RUNS = 20, 4
ROUNDS_PER_DATABASE = 4  # making one takes longest, and is what they may do at the same time too
EXPERIMENT = """\
name: small
store: {store}
datasets: [blobs]
models: [chance, majority]
"""


def take_part(number: int, folder: Path, barrier: Any, failures: Any) -> None:
    """In each round, end a run, or rebuild the mirror of one; all at the same time, often on a new database."""
    sys.stdout = sys.stderr = open(folder / f"{number}.log", "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for count in range(ROUNDS):
        out = folder / f"{count // ROUNDS_PER_DATABASE}" / f"out-{count}-{number}"
        shutil.copytree(folder / "finished", out)
        barrier.wait()
        command = ["run", folder / "small.yaml", "--out", out] if number < RUNS else ["track", "sync", out]
        try:
            cli.main([str(word) for word in command])
        except SystemExit as stopped:
            if stopped.code or not (out / "mirrored.json").exists():
                failures.put((count, number, stopped.code))


def test_no_writer_fails_beside_others(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(4, 3))
    (tmp_path / "small.yaml").write_text(EXPERIMENT.format(store=tmp_path / "store"))
    plan = make_plan(resolve(load(str(tmp_path / "small.yaml")), Store(tmp_path / "store")))
    train(plan, tmp_path / "finished")
    context = multiprocessing.get_context("spawn")
    barrier, failures = context.Barrier(2 * RUNS), context.SimpleQueue()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    parts = [
        context.Process(target=take_part, args=(number, tmp_path, barrier, failures)) for number in range(2 * RUNS)
    ]
    for part in parts:
        part.start()
    for part in parts:
        part.join()
    logs = "\n".join(f"{path.name}\n{path.read_text()[-800:]}" for path in sorted(tmp_path.glob("*.log")))
    assert [part.exitcode for part in parts] == [0] * len(parts), logs
    assert failures.empty(), (failures.get(), logs)
