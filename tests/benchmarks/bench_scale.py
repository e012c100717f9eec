"""How costs grow: 1, 10 and 100 times as many jobs, clips and folds, each line a table row of times and of memory.

Planning, listing and checking are processor time of this process, which other programs on the machine disturb less than
wall time. Folds are trivial ones of `majority` through Ray Tune; ``--folds`` takes 100 times as many of them, which is
some minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blobs import SPEC, blob_clips, write_blobs

from mer_data.doctor import examine
from mer_data.formats import read_format
from mer_data.storage.store import Store
from mer_data.synthetic.casme2 import make_casme2
from orchestrator.cli.data import contents
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.machines import ray_cluster
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import Ledger
from orchestrator.output.status import status

GROWTH, SUBJECTS, FEATURES = (1, 10, 100), 100, 20


def planned(store: Store, jobs: int) -> Plan:
    """A plan of about so many jobs: all subjects for several seeds."""
    seeds = list(range(max(jobs // SUBJECTS, 1)))
    told = {"name": "b", "datasets": ["blobs"], "models": ["majority"], "seeds": seeds}
    return make_plan(resolve(Experiment.model_validate(told), store))


def timed(work: Callable[..., object], *arguments: object) -> str:
    """Processor seconds of this process."""
    start = time.process_time()
    work(*arguments)
    return f"{time.process_time() - start:.2f} s"


def row(name: str, amounts: Sequence[int], cells: Sequence[str]) -> None:
    told = [f"{amount:>9,}: {cell:<14}" for amount, cell in zip(amounts, cells, strict=True)]
    print(f"{name:<34}" + "".join(told), flush=True)


def memory() -> float:
    """MB that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


def jobs(folder: Path) -> None:
    """Plan, save, load and look at 1,000 to 100,000 jobs."""
    store = Store(folder / "store")
    write_blobs(store, "blobs", blob_clips(SUBJECTS, 4))
    amounts = [1000 * times for times in GROWTH]
    planned(store, 1)  # what is imported once is no growth
    cells: dict[str, list[str]] = {"plan": [], "save": [], "load": [], "status": []}
    for amount in amounts:
        out = folder / f"out{amount}"
        plan = planned(store, amount)
        cells["plan"].append(timed(planned, store, amount))
        cells["save"].append(timed(plan.save, out / "plan.json"))
        cells["load"].append(timed(Plan.load, out / "plan.json"))
        cells["status"].append(timed(status, plan, Ledger(out / "ledger")))
    for name, told in cells.items():
        row(f"jobs: {name}", amounts, told)


def clips(folder: Path) -> None:
    """A store of 100 to 10,000 clips with 20 features: list it, plan on it; and check as many clips with the doctor."""
    amounts = [100 * times for times in GROWTH]
    cells: dict[str, list[str]] = {"list": [], "plan": [], "doctor": []}
    for amount in amounts:
        store = Store(folder / f"store{amount}")
        made = blob_clips(SUBJECTS, amount // SUBJECTS)
        write_blobs(store, "blobs", made)
        with store.replacing("wide") as writer:
            writer.clips(made, format_="test", frame_root=None)
            arrays = {clip.id: np.zeros((3, 28, 28), np.uint8) for clip in made}
            for number in range(FEATURES):
                writer.feature(replace(SPEC, name=f"feature_{number}"), arrays, made, "test")
        cells["list"].append(timed(contents, str(store.root)))
        cells["plan"].append(timed(planned, store, 1))
        tree = folder / f"tree{amount}"
        make_casme2(tree, subjects=26, clips=amount, seed=0, size=(32, 32), length=(4, 5))
        cells["doctor"].append(timed(doctor, tree))
    for name, told in cells.items():
        row(f"clips, {FEATURES} features: {name}", amounts, told)


def doctor(tree: Path) -> object:
    return examine(read_format("casme2", [tree]), "casme2")


def folds(folder: Path, *, all_of_them: bool) -> None:
    """What a further trivial fold costs, and how much memory it leaves behind in the driver."""
    from orchestrator.sweep.tune_run import sweep

    store = Store(folder / "folds")
    write_blobs(store, "blobs", blob_clips(SUBJECTS, 4))
    ray_cluster.start(cpus=2)
    amounts, told = [100 * times for times in (GROWTH if all_of_them else GROWTH[:2])], []
    for number, amount in enumerate(amounts):
        plan = planned(store, amount)
        before, start = memory(), time.perf_counter()
        sweep(plan, plan.jobs, [], folder / f"swept{number}", Resources(2, 0.0), Console())
        told.append(f"{1000 * (time.perf_counter() - start) / amount:.0f} ms, {memory() - before:+.0f} MB")
    row("folds: each, driver's memory", amounts, told)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs(folder)
        clips(folder)
        folds(folder, all_of_them="--folds" in sys.argv)


if __name__ == "__main__":
    main()
