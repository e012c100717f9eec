"""A real Ray cluster of one machine that is said to have a GPU and one without: both train networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]
# Its own process, since Ray runs once per process. Workers note what Ray gave them, and train on a core in any case.
SWEEP = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from orchestrator.machines import ray_cluster
os.environ.update(ray_cluster.SETTINGS)
import ray, torch
from ray.cluster_utils import Cluster as Machines
from mer_data.storage.store import Store
from orchestrator.sweep import tune_run as sweep
from orchestrator.experiment.config import Experiment
from orchestrator.console import Console
from orchestrator.sweep.queue import declared_share
from orchestrator.sweep.trial import FoldTrainable
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve

folder = Path(sys.argv[1])

class Noting(FoldTrainable):
    def setup(self, config, **keys):
        torch.cuda.is_available = lambda: True
        torch.cuda.set_per_process_memory_fraction = lambda share: None
        torch.cuda.empty_cache = lambda: None
        super().setup(config, **keys)
        self._given, self._device = self._device, "cpu"
        torch.cuda.is_available = lambda: False

    def step(self):
        with (folder / "places").open("a") as file:
            print(self._job_id, self._given, ray.get_runtime_context().get_node_id(), file=file)
        return super().step()

machines = Machines(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1, "include_dashboard": False})
machines.add_node(num_cpus=2)
ray_cluster.started_cluster = lambda: None
ray.init(address=machines.address, log_to_driver=False)
experiment = {
    "name": "t", "datasets": ["blobs"], "models": ["chance", "ststnet"], "seeds": [0, 1],
    "recipes": {"ststnet": {"epochs": 200, "batch_size": 8}},
}
plan = replace(make_plan(resolve(Experiment.model_validate(experiment), Store(folder / "store"))), device="both")
sweep.FoldTrainable = Noting
sweep.measure_shares = lambda plan, out, console: declared_share
sweep.sweep(plan, plan.jobs, [], folder / "out", ray_cluster.Cluster().resources, Console())
has_gpu = {node["NodeID"]: bool(node["Resources"].get("GPU")) for node in ray.nodes()}
lines = [line.split() for line in (folder / "places").read_text().splitlines()]
print(json.dumps([[plan.job[job].model, given, has_gpu[node]] for job, given, node in lines]), flush=True)
ray.shutdown()
machines.shutdown()
"""


def test_networks_train_on_both_kinds_of_machines_and_baselines_hold_no_gpu(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(5, 3))
    run = subprocess.run(
        [sys.executable, "-c", SWEEP, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-6000:]
    told = Counter((model, given, has_gpu) for model, given, has_gpu in json.loads(run.stdout.splitlines()[-1]))
    assert sum(told.values()) == 20
    assert told["ststnet", "cuda", True] > 0
    assert told["ststnet", "cpu", False] > 0
    assert told["chance", "cuda", True] == 0
