"""What a report, a comparison and a table cost at the size of a large paper: 10 models, 68 folds, 5 seeds.

Each command is a process of its own; its time is told beside that of `mer --help`, and of the same with 2 models.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS, SEEDS, EPOCHS = 68, (0, 1, 2, 3, 4), 10
_OWN = """
from dataclasses import replace
from mer_models.spec import models, register

for number in range({count}):
    register(replace(models()["ststnet"], name=f"mine_{{number}}"))
"""


def made_up(folder: Path, count: int) -> Path:
    """An output folder of models of a user's own, which know 60 to 80 % of the clips."""
    from blobs import blob_clips, write_blobs
    from ledgers import commit, knowing, plan_for

    from mer_data.storage.store import Store
    from orchestrator.output.ledger import Ledger

    store, out, file = Store(folder / "store"), folder / f"runs/of-{count}", folder / f"mine_{count}.py"
    file.write_text(_OWN.format(count=count).replace("mine_", f"mine_{count}_"))
    if "blobs" not in store.names():
        write_blobs(store, "blobs", blob_clips(SUBJECTS, 6))
    names = [f"mine_{count}_{number}" for number in range(count)]
    recipes = {"all": {"epochs": EPOCHS}}
    plan = plan_for(store, models=names, seeds=list(SEEDS), recipes=recipes, plugins=[str(file)])
    plan.save(out / "plan.json")
    commit(plan, Ledger(out / "ledger"), knowing({name: 0.6 + 0.02 * i for i, name in enumerate(names)}))
    return out


def seconds(*arguments: str) -> tuple[float, float]:
    """Wall and processor time of a command."""
    command = [sys.executable, "-m", "orchestrator.cli.commands", *arguments]
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    wall, after = time.perf_counter() - start, os.times()
    return wall, (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> None:
    """Print the times and their ratios."""
    sys.path.insert(0, str(ROOT / "tests"))
    with tempfile.TemporaryDirectory() as name:
        large, small = made_up(Path(name), 10), made_up(Path(name), 2)
        nothing = seconds("--help")[1]
        print(f"10 models x {SUBJECTS} folds x {len(SEEDS)} seeds")
        for command in ("score", "compare", "report"):
            wall, processor = seconds(command, str(large))
            of_two = seconds(command, str(small))[1]
            ratios = f"{processor / nothing:.0f}x `mer --help`, {processor / of_two:.1f}x that of 2 models"
            print(f"mer {command}: {wall:.1f} s, processor {processor:.1f} s; {ratios}")


if __name__ == "__main__":
    main()
