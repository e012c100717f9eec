"""What a search costs: 20 configurations on the synthetic MEGC 2019 composite, with and without the race.

The full grid of one learning rate each is trained once (about a quarter of an hour on two cores). The race is then run
over its ledger, which it would have filled in part, and over the same configurations in other orders, which tells how
often it loses the best one. Last, a small search is timed on one core and on two.

``--epochs N`` trains longer; ``--out FOLDER`` keeps what was trained, and takes it the next time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from mer_data.formats import import_dataset
from mer_data.storage.store import Store
from mer_data.synthetic.megc2019 import FOLDERS, make_megc2019
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory
from orchestrator.output.trained import TrainedJobs
from orchestrator.score.validation import DivisionScore, pooled_score
from orchestrator.search.racing import is_worse
from orchestrator.search.study import StudyDriver, optuna_storage
from orchestrator.whole_run import run

CONFIGURATIONS, ORDERS = 20, 200
PER_FOLD = 68 * CONFIGURATIONS  # trainings of a search within each of the composite's 68 folds


def experiment(store: Path, epochs: int, **search: Any) -> Experiment:
    """A search of random configurations: the same ones whatever else is asked for."""
    keys = {
        "name": "bench",
        "store": str(store),
        "datasets": [{"name": "megc2019", "union": list(FOLDERS), "clip_list": "megc2019"}],
        "models": ["ststnet"],
        "recipes": {"ststnet": {"epochs": epochs, "lr": 0.001, "batch_size": 64, "order": "shuffled", "keep_every": 2}},
        "search": {
            "configurations": CONFIGURATIONS,
            "sampler": "random",
            "space": {"ststnet": {"lr": {"low": 1e-5, "high": 1e-1, "log": True}}},
            **search,
        },
    }
    return Experiment.model_validate(keys)


def raced(scores: list[list[DivisionScore]]) -> tuple[int, int]:
    """Race configurations of one group one after the other; how many trainings that took, and which one wins."""
    divisions = len(scores[0])
    pooled = [[pooled_score(of[:done]) for done in range(1, divisions + 1)] for of in scores]
    subjects = len(pooled[0][-1].counts)
    final = [of[-1].uf1 for of in pooled]
    complete, trained = [0], divisions  # the first one has no rival
    for number in range(1, len(scores)):
        known = [earlier for earlier in complete if earlier < max(number - 1, 1)]  # two are proposed at a time
        rival = pooled[max(known, key=final.__getitem__)]
        stopped = (
            done
            for done in range(1, divisions)
            if is_worse(pooled[number][done - 1].counts, rival[done - 1].counts, done, subjects)
        )
        took = next(stopped, divisions)
        trained += took
        complete += [number] if took == divisions else []
    return trained, max(complete, key=final.__getitem__)


def other_orders(groups: list[list[list[DivisionScore]]]) -> None:
    """Print what races save and lose if the configurations, but the first one, are proposed in other orders."""
    random = np.random.default_rng(0)
    final = [[pooled_score(divisions).uf1 for divisions in configurations] for configurations in groups]
    saved, lost = [], []
    for _ in range(ORDERS):
        order = [0, *random.permutation(np.arange(1, CONFIGURATIONS)).tolist()]
        trained = 0
        for configurations, values in zip(groups, final, strict=True):
            took, best = raced([configurations[number] for number in order])
            trained += took
            lost.append(max(values) - values[order[best]])
        saved.append(PER_FOLD / trained)
    kept = 100 * np.mean(np.array(lost) == 0)
    print(
        f"{ORDERS} other orders: {np.mean(saved):.1f}x fewer trainings than in every fold ({min(saved):.1f}x to "
        f"{max(saved):.1f}x); a group's best of the full grid kept in {kept:.1f} %, inner UF1 lost in the mean "
        f"{np.mean(lost):.4f}, at most {max(lost):.4f}"
    )


def gone_through(plan: Plan, ledger: Ledger, out: Path) -> list[SearchHistory]:
    """Every study of a plan over a ledger that has all its trainings."""
    trained, storage = TrainedJobs(plan, ledger), optuna_storage(out)
    for study in plan.studies:
        StudyDriver(plan, study, trained, out, storage).advance()
    return [SearchHistory.load(out, plan, study) for study in plan.studies]


def what_races_save(root: Path, store: Store, epochs: int) -> None:
    """Train the full grid, run the race over it, and print both."""
    run(experiment(store.root, epochs, race=False), root / "runs/bench", Console(), cpus=2)
    ledger = Ledger(root / "runs/bench/ledger")
    plans = {race: make_plan(resolve(experiment(store.root, epochs, race=race), store)) for race in (False, True)}
    found = {race: gone_through(plan, ledger, root / f"race-{race}") for race, plan in plans.items()}
    spent = {
        race: sum(tried.divisions for of in histories for tried in of.configurations)
        for race, histories in found.items()
    }
    for race, trainings in spent.items():
        print(f"race: {race}: {trainings} trainings, {PER_FOLD / trainings:.1f}x fewer than {PER_FOLD} in every fold")
    pairs = list(zip(found[False], found[True], strict=True))
    same = sum(a.chosen == b.chosen for a, b in pairs)
    print(f"groups that choose the same configuration and epoch with and without race: {same} of {len(pairs)}")
    trained = TrainedJobs(plans[False], ledger)
    other_orders(
        [
            [
                [trained.division_score(study, job) for job in of.jobs(plans[False], study, tried)]
                for tried in of.configurations
            ]
            for study, of in zip(plans[False].studies, found[False], strict=True)
        ]
    )


def two_cores_against_one(root: Path, store: Store, epochs: int) -> None:
    """Time the same small search, with its final trainings, on one core and on two."""
    walls = []
    for cpus in (1, 2):
        out = root / f"runs/cores-{cpus}"
        run(experiment(store.root, epochs, configurations=3, race=False), out, Console(), cpus=cpus)
        walls.append(sum(json.loads(line)["wall_seconds"] for line in (out / "cost.jsonl").open(encoding="utf-8")))
    print(f"a search of 3 configurations: one core {walls[0]:.0f} s, two {walls[1]:.0f} s, {walls[0] / walls[1]:.2f}x")


def main() -> None:
    """Print all figures."""
    epochs = int(sys.argv[sys.argv.index("--epochs") + 1]) if "--epochs" in sys.argv else 10
    kept = sys.argv[sys.argv.index("--out") + 1] if "--out" in sys.argv else None
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = Store(root / "store")
        if not store.names():
            make_megc2019(root / "twin")
            for dataset, place in FOLDERS.items():
                import_dataset(dataset, [root / "twin" / place], store, dataset)
        what_races_save(root, store, epochs)
        two_cores_against_one(root, store, epochs)


if __name__ == "__main__":
    main()
