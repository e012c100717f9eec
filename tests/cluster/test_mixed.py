"""A real Ray cluster of one machine that is said to have a GPU and one without: both train networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]
# Its own process, since Ray runs once per process. Workers note what Ray gave them, and train on a core in any case.
BEGIN = """
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
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.places import Place, declared
from orchestrator.sweep.trial import FoldTrainable
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from tape import Plain

folder = Path(sys.argv[1])

class Noting(FoldTrainable):
    make_lane = Plain

    def setup(self, config, **keys):
        torch.cuda.is_available = lambda: True
        torch.cuda.set_per_process_memory_fraction = lambda share: None
        torch.cuda.empty_cache = lambda: None
        super().setup(config, **keys)
        self._given, self._device = self._device, "cpu"
        torch.cuda.is_available = lambda: False

    def step(self):
        with (folder / "places").open("a") as file:
            print(self._jobs[0], self._given, ray.get_runtime_context().get_node_id(), file=file)
        ended, killed = super().step(), folder / "killed"
        if len(self._jobs) > 1 and not ended["done"] and not killed.exists():  # once, in the middle of a pack
            killed.touch()
            os._exit(1)
        return ended

def planned(**keys):
    told = {"name": "t", "datasets": ["blobs"], **keys}
    return make_plan(resolve(Experiment.model_validate(told), Store(folder / "store")))

machines = Machines(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1, "include_dashboard": False})
machines.add_node(num_cpus=2)
ray_cluster.started_cluster = lambda: None
ray.init(address=machines.address, log_to_driver=False)
sweep.FoldTrainable = Noting
"""
MIXED = """
recipes = {"ststnet": {"epochs": 200, "batch_size": 8}}
plan = replace(planned(models=["chance", "ststnet"], seeds=[0, 1], recipes=recipes), device="both")
sweep.find_places = lambda plan, out, console, gpus: declared
sweep.sweep(plan, plan.jobs, [], folder / "out", ray_cluster.Cluster().resources, Console())
has_gpu = {node["NodeID"]: bool(node["Resources"].get("GPU")) for node in ray.nodes()}
lines = [line.split() for line in (folder / "places").read_text().splitlines()]
told = [[plan.job[job].model, given, has_gpu[node]] for job, given, node in lines]
"""
# Folds in packs, then each alone on a core; these networks draw dropout or orders, not both, which a core keeps apart.
PACKS = """
recipes = {name: {"epochs": 5, "batch_size": 8} for name in ("ststnet", "ststnet_table")}
plan = planned(models=["ststnet", "ststnet_table"], seeds=[0, 1], recipes=recipes)
have = ray_cluster.Cluster().resources
sweep.find_places = lambda plan, out, console, gpus: lambda job: Place(1 / 8, "graph", 4)
sweep.sweep(plan, plan.jobs, [], folder / "packs", have, Console())
sweep.sweep(replace(plan, device="cpu"), plan.jobs, [], folder / "alone", have, Console())
packs, alone = (Ledger(folder / name / "ledger") for name in ("packs", "alone"))
told = [
    [packs.read(job.id).environment.get("way"), alone.read(job.id).environment.get("way"),
     packs.read(job.id).logits.tobytes() == alone.read(job.id).logits.tobytes()]
    for job in plan.jobs
]
"""
END = """
print(json.dumps(told), flush=True)
ray.shutdown()
machines.shutdown()
"""


def told_by(script: str, folder: Path) -> Any:
    write_blobs(Store(folder / "store"), "blobs", blob_clips(5, 3))
    run = subprocess.run(
        [sys.executable, "-c", BEGIN + script + END, str(folder)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-6000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_networks_train_on_both_kinds_of_machines_and_baselines_hold_no_gpu(tmp_path: Path) -> None:
    told = Counter((model, given, has_gpu) for model, given, has_gpu in told_by(MIXED, tmp_path))
    assert sum(told.values()) == 20
    assert told["ststnet", "cuda", True] > 0
    assert told["ststnet", "cpu", False] > 0
    assert told["chance", "cuda", True] == 0


def test_packs_on_a_gpu_give_the_bytes_of_folds_alone_also_where_one_is_lost(tmp_path: Path) -> None:
    told = told_by(PACKS, tmp_path)
    assert (tmp_path / "killed").exists()
    assert len(told) == 20
    assert all(same for _, _, same in told)
    assert {way for _, way, _ in told} == {None}
    # Of the pack that was lost, one fold had ended; the other three were trained alone.
    assert Counter(way for way, _, _ in told) == {"graph": 17, None: 3}
