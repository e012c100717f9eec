"""What racing saves: 20 configurations on the synthetic MEGC 2019 composite, with and without races.

The full grid is trained once (about ten minutes on two cores); the race is then run over its ledger, which it would
have filled in part. ``--epochs N`` trains longer.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mer_data.formats import import_dataset
from mer_data.store import Store
from mer_data.synthetic.megc2019 import FOLDERS, make_megc2019
from orchestrator import runtime
from orchestrator.config import Experiment
from orchestrator.console import Console
from orchestrator.course import Course
from orchestrator.ledger import Ledger
from orchestrator.planning import make_plan
from orchestrator.run import run
from orchestrator.search import StudyRun, Trained, optuna_storage

CONFIGURATIONS = 20


def experiment(store: Path, epochs: int, *, race: bool) -> Experiment:
    """A search of random configurations, the same ones with and without races."""
    search = {"configurations": CONFIGURATIONS, "sampler": "random", "race": race}
    keys = {
        "name": "bench",
        "store": str(store),
        "datasets": [{"name": "megc2019", "union": list(FOLDERS), "clip_list": "megc2019"}],
        "models": ["ststnet"],
        "recipes": {"ststnet": {"epochs": epochs, "lr": 0.001, "batch_size": 64, "order": "shuffled", "keep_every": 2}},
        "search": {**search, "space": {"ststnet": {"lr": {"low": 1e-5, "high": 1e-1, "log": True}}}},
    }
    return Experiment.model_validate(keys)


def main() -> None:
    """Print the fold trainings of both, and whether they choose the same."""
    epochs = int(sys.argv[sys.argv.index("--epochs") + 1]) if "--epochs" in sys.argv else 10
    runtime.start(cpus=2)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_megc2019(root / "twin")
        store = Store(root / "store")
        for dataset, place in FOLDERS.items():
            import_dataset(dataset, [root / "twin" / place], store, dataset)
        run(experiment(store.root, epochs, race=False), root / "runs/bench", Console())
        found = []
        for race in (False, True):
            plan = make_plan(experiment(store.root, epochs, race=race), store)
            trained, out = Trained(plan, Ledger(root / "runs/bench/ledger")), root / f"race-{race}"
            StudyRun(plan, plan.studies[0], trained, out, optuna_storage(out)).advance()
            found.append(Course.load(out, plan, plan.studies[0]))
    grid, raced = (sum(one.folds for one in course.configurations) for course in found)
    best = [
        max((one for one in course.configurations if one.state == "complete"), key=lambda one: one.inner_uf1 or 0.0)
        for course in found
    ]
    chosen = [course.chosen or {} for course in found]
    same = sum(chosen[0][name].number == chosen[1][name].number for name in chosen[0])
    print(f"folds trained for the search: full grid {grid}, raced {raced}; ratio {grid / raced:.1f}x")
    print(
        f"best configuration: full grid #{best[0].number}, inner UF1 {best[0].inner_uf1:.4f}; raced #{best[1].number}"
    )
    print(f"held-out subjects that get the same configuration: {same} of {len(chosen[0])}")


if __name__ == "__main__":
    main()
