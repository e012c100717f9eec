"""What racing saves: 20 configurations on the synthetic MEGC 2019 composite, with and without races.

The full grid is trained once (about twenty minutes on two cores); the race is then run over its ledger, which it would
have filled in part, and over the same configurations in other orders. ``--epochs N`` trains longer; ``--out FOLDER``
keeps what was trained, and takes it the next time.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from mer_data.formats import import_dataset
from mer_data.storage.store import Store
from mer_data.synthetic.megc2019 import FOLDERS, make_megc2019
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory
from orchestrator.run import run
from orchestrator.score.metrics import Counts, uf1
from orchestrator.search.racing import is_worse
from orchestrator.search.study import StudyDriver, Trained, optuna_storage

CONFIGURATIONS, ORDERS = 20, 200


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


def raced(counts: Counts) -> tuple[int, int]:
    """Race configurations ``[configurations, folds, true, predicted]`` one after the other; folds trained, winner."""
    values, folds = uf1(counts.sum(1)), counts.shape[1]
    complete, trained = [0], folds  # the first one has no rival
    for number in range(1, len(counts)):
        known = [one for one in complete if one < max(number - 1, 1)]  # two are proposed at a time
        rival = max(known, key=lambda one: values[one])
        took = next(
            (count for count in range(1, folds) if is_worse(counts[number, :count], counts[rival], folds)), folds
        )
        trained += took
        complete += [number] if took == folds else []
    return trained, max(complete, key=lambda one: values[one])


def other_orders(counts: Counts) -> None:
    """Print what races save and lose if the configurations, but the first one, are proposed in other orders."""
    random, values = np.random.default_rng(0), uf1(counts.sum(1))
    ratios, lost = [], []
    for _ in range(ORDERS):
        order = np.array([0, *random.permutation(np.arange(1, len(counts)))])
        trained, best = raced(counts[order])
        ratios.append(counts.shape[0] * counts.shape[1] / trained)
        lost.append(values.max() - values[order[best]])
    kept = 100 * np.mean(np.array(lost) == 0)
    print(
        f"{ORDERS} other orders: ratio {np.mean(ratios):.1f}x ({min(ratios):.1f}x to {max(ratios):.1f}x); best of the "
        f"full grid kept in {kept:.0f} %, UF1 lost {np.mean(lost):.4f}, at most {max(lost):.4f}"
    )


def main() -> None:
    """Print the fold trainings of both, and whether they choose the same."""
    epochs = int(sys.argv[sys.argv.index("--epochs") + 1]) if "--epochs" in sys.argv else 10
    kept = sys.argv[sys.argv.index("--out") + 1] if "--out" in sys.argv else None
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = Store(root / "store")
        if not store.names():
            make_megc2019(root / "twin")
            for dataset, place in FOLDERS.items():
                import_dataset(dataset, [root / "twin" / place], store, dataset)
        run(experiment(store.root, epochs, race=False), root / "runs/bench", Console(), cpus=2)
        found = []
        for race in (False, True):
            plan = make_plan(resolve(experiment(store.root, epochs, race=race), store))
            study, trained = plan.studies[0], Trained(plan, Ledger(root / "runs/bench/ledger"))
            out = root / f"race-{race}"
            StudyDriver(plan, study, trained, out, optuna_storage(out)).advance()
            found.append(SearchHistory.load(out, plan, study))
        every = [found[0].jobs(plan, study, one) for one in found[0].configurations]
        counts = np.array([[trained.validation_score(job).counts for job in jobs] for jobs in every])
    grid, fewer = (sum(one.folds for one in history.configurations) for history in found)
    best = [
        max((one for one in history.configurations if one.state == "complete"), key=lambda one: one.inner_uf1 or 0.0)
        for history in found
    ]
    chosen = [history.chosen or {} for history in found]
    same = sum(chosen[0][name].number == chosen[1][name].number for name in chosen[0])
    print(f"folds trained for the search: full grid {grid}, raced {fewer}; ratio {grid / fewer:.1f}x")
    print(
        f"best configuration: full grid #{best[0].number}, inner UF1 {best[0].inner_uf1:.4f}; raced #{best[1].number}"
    )
    print(f"held-out subjects that get the same configuration: {same} of {len(chosen[0])}")
    other_orders(counts)


if __name__ == "__main__":
    main()
