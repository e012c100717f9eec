"""What the machinery costs: trivial folds, planning, resuming, a second worker. ``--large`` adds 10,000 folds.

``--resume`` measures only planning and resuming, which needs no Ray.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blobs import blob_clips, write_blobs
from simulated import RECIPE, SPACE, simulate

from mer_data.storage.store import Store
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.machines import ray_cluster
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.output.trained import TrainedJobs
from orchestrator.report.leaderboard import score_document
from orchestrator.report.predictions import score_cells
from orchestrator.search.study import StudyDriver, optuna_storage
from orchestrator.sweep.tune_run import SweepCost, sweep

SUBJECTS, FUNCTION_TRIALS = 68, 8


def function_trainable(config: dict[str, int]) -> None:
    import torch  # every model's process needs it

    tune.report({"value": float(torch.zeros(1)) + config["fold"]})


class Bench:
    """A store of 68 subjects, and timings over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "store")
        write_blobs(self.store, "blobs", blob_clips(SUBJECTS, 4))
        self.runs = 0

    def plan(self, seeds: int, **keys: Any) -> Plan:
        """Jobs of all subjects for so many seeds."""
        told = {"name": "b", "datasets": ["blobs"], "models": ["majority"], "seeds": list(range(seeds)), **keys}
        return make_plan(resolve(Experiment.model_validate(told), self.store))

    def sweep(self, plan: Plan, workers: int = 2) -> SweepCost:
        """Run all jobs of a plan in a new folder."""
        self.runs += 1
        have = Resources(workers, 0.0)
        return sweep(plan, plan.jobs, [], self.folder / f"out{self.runs}", have, Console())

    def trivial(self, seeds: int) -> tuple[int, float]:
        """Number of trivial folds, and wall seconds."""
        plan = self.plan(seeds)
        return len(plan.jobs), self.sweep(plan).wall_seconds


def per_function(folder: Path) -> float:
    """Seconds per further trial with a function trainable."""

    def run(trials: int) -> float:
        start = time.perf_counter()
        tune.Tuner(
            tune.with_resources(function_trainable, {"cpu": 1}),
            param_space={"fold": tune.grid_search(list(range(trials)))},
            run_config=tune.RunConfig(storage_path=str(folder), name=f"f{trials}", verbose=0),
        ).fit()
        return time.perf_counter() - start

    return (run(FUNCTION_TRIALS) - run(2)) / (FUNCTION_TRIALS - 2)


def planning_and_resuming(bench: Bench) -> None:
    """Plan 100,000 jobs; find 10,000 finished ones done and score them."""
    start = time.perf_counter()
    plan = bench.plan(1471)
    plan.save(bench.folder / "plan.json")
    print(f"planning {len(plan.jobs)} jobs and writing the plan: {time.perf_counter() - start:.1f} s")
    plan, ledger = bench.plan(147), Ledger(bench.folder / "ledger")
    for job in plan.jobs:
        clips = plan.fold(job).test_ids
        ledger.commit(FoldResult(job.id, clips, (1,), np.zeros((1, len(clips), 3), np.float32), 1.0, "cpu", {}))
    time.sleep(2.5)  # files younger than two seconds are not trusted to be finished
    for time_ in ("first", "second"):
        start = time.perf_counter()
        damaged, done = ledger.drop_damaged(), ledger.ids()
        left = [job for job in plan.jobs if job.id not in done]
        looked = time.perf_counter() - start
        score_document(plan, ledger, score_cells(plan, ledger, partial=False), "last")
        whole = time.perf_counter() - start
        print(f"resuming {len(done)} done jobs, {time_} time: {looked:.1f} s to see that {len(left)} are left "
              f"({len(damaged)} damaged), {whole:.1f} s with the score")  # fmt: skip


def resuming_search(bench: Bench) -> None:
    """Go through a finished search of 10,000 folds again, whose folds no race has stopped."""
    search = {"configurations": 400, "race": False, "space": SPACE}
    plan, out = bench.plan(1, models=["ststnet"], recipes=RECIPE, search=search), bench.folder / "searched"
    ledger = Ledger(out / "ledger")
    simulate(plan, out)
    time.sleep(2.5)
    for time_ in ("first", "second"):
        start = time.perf_counter()
        ledger.drop_damaged()
        trained, storage = TrainedJobs(plan, ledger), optuna_storage(out)
        runs = [StudyDriver(plan, study, trained, out, storage) for study in plan.studies]
        for run in runs:
            run.advance()
        searched = time.perf_counter() - start
        score_document(plan, ledger, score_cells(plan, ledger, partial=False), "inner")
        whole = time.perf_counter() - start
        print(f"resuming a search of {len(ledger.ids())} folds, {time_} time: {searched:.1f} s to see that "
              f"{sum(run.left for run in runs)} are left, {whole:.1f} s with the score")  # fmt: skip


def two_workers(bench: Bench) -> None:
    """Wall time of real folds by one worker and by two; the start of workers is measured apart and taken off.

    Each with a Ray that has so many cores, since Tune starts as many trials as it has room for.
    """
    recipe = {"recipes": {"ststnet": {"epochs": 60, "keep_every": 60}}, "models": ["ststnet"]}
    took = {}
    for workers in (1, 2):
        ray.shutdown()
        ray_cluster.start(cpus=workers)
        trivial = bench.sweep(bench.plan(1), workers).wall_seconds
        took[workers] = bench.sweep(bench.plan(1, **recipe), workers).wall_seconds - trivial
    print(f"68 folds of ststnet: one worker {took[1]:.1f} s, two {took[2]:.1f} s; ratio {took[1] / took[2]:.2f}x")


def main() -> None:
    """Print figures and ratios, each measured in this run."""
    if "--resume" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            planning_and_resuming(Bench(Path(folder)))
            resuming_search(Bench(Path(folder)))
        return
    ray_cluster.start(cpus=2)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        (few, first), (many, second) = bench.trivial(1), bench.trivial(30)
        ours, function = (second - first) / (many - few), per_function(Path(folder))
        print(f"{few} trivial folds: {first:.1f} s in all, the start of two workers included")
        print(f"{many} trivial folds: {second:.1f} s; per further fold {1000 * ours:.0f} ms, two at a time")
        print(f"one function trainable per fold: {1000 * function:.0f} ms; ratio {function / ours:.0f}x")
        planning_and_resuming(bench)
        resuming_search(bench)
        two_workers(bench)
        if "--large" in sys.argv:
            large, took = bench.trivial(147)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{large} trivial folds: {took:.0f} s; per fold {1000 * took / large:.0f} ms; driver {peak:.0f} MiB")
    ray.shutdown()


if __name__ == "__main__":
    main()
