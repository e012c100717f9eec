"""What a trivial fold costs: our sweep (class Trainable, reused workers) against one function trainable per fold."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import ray
from ray import tune

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blobs import blob_clips, write_blobs

from mer_data.store import Store
from orchestrator import runtime
from orchestrator.config import Experiment
from orchestrator.console import Console
from orchestrator.plan import make_plan
from orchestrator.sweep import sweep

FOLDS, FUNCTION_TRIALS = 68, 8


def function_trainable(config: dict[str, int]) -> None:
    import torch  # every model's process needs it

    tune.report({"value": float(torch.zeros(1)) + config["fold"]})


def main() -> None:
    """Print milliseconds per trial beyond the start of the first worker, and their ratio."""
    runtime.start(cpus=2)
    have = runtime.Resources(2, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        write_blobs(store, "blobs", blob_clips(FOLDS, 4))

        def ours(seeds: int) -> float:
            experiment = Experiment.model_validate(
                {"name": "b", "datasets": ["blobs"], "models": ["majority"], "seeds": list(range(seeds))}
            )
            plan = make_plan(experiment, store)
            return sweep(plan, plan.jobs, Path(folder) / f"out{seeds}", have, Console()).wall_seconds

        one, four = ours(1), ours(4)
        per_trial = (four - one) / (3 * FOLDS)

        def function(trials: int) -> float:
            start = time.perf_counter()
            tune.Tuner(
                tune.with_resources(function_trainable, {"cpu": 1}),
                param_space={"fold": tune.grid_search(list(range(trials)))},
                run_config=tune.RunConfig(storage_path=folder, name=f"f{trials}", verbose=0),
            ).fit()
            return time.perf_counter() - start

        per_function = (function(FUNCTION_TRIALS) - function(2)) / (FUNCTION_TRIALS - 2)
    ray.shutdown()
    print(f"{FOLDS} trivial folds: {one:.1f} s in all, the start of two workers included")
    print(f"per further trial, two at a time: ours {1000 * per_trial:.0f} ms, function {1000 * per_function:.0f} ms")
    print(f"ratio {per_function / per_trial:.0f}x")


if __name__ == "__main__":
    main()
