"""What a cluster has for jobs, now and when it has grown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Resources:
    """What the cluster has for jobs, or will have when it has grown as far as its configuration lets it.

    Attributes
    ----------
    cpus, gpus
        Of all machines.
    cpus_without_gpu
        Those of the machines that have no GPU.
    machines
        How many there are now; 0 if Ray was started for this run.
    absent
        How many of those that the cluster's file lists have not joined yet.
    """

    cpus: int
    gpus: float
    cpus_without_gpu: int = 0
    machines: int = 0
    absent: int = 0


def count(*, standing: bool) -> Resources:
    """What the cluster that this process has joined has now, or will have when it has grown.

    Parameters
    ----------
    standing
        Whether it was there before, and may grow; else it is one that was started on this machine for one run.
    """
    import ray

    have: dict[str, float] = ray.cluster_resources()
    file = _cluster_file() if standing else {}
    kinds = _kinds_when_grown(file)
    most = _when_grown(kinds)
    cpus, gpus = (max(have.get(name, 0), most.get(name, 0)) for name in ("CPU", "GPU"))
    now = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    plain = max(_cpus_without_gpu(now), _cpus_without_gpu(kinds))
    absent = max(0, _listed_machines(file) - len(now))
    return Resources(max(1, int(cpus)), float(gpus), plain, len(now) if standing else 0, absent)


def _cpus_without_gpu(machines: Sequence[Mapping[str, float]]) -> int:
    return int(sum(machine.get("CPU", 0) for machine in machines if not machine.get("GPU")))


def _when_grown(kinds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a cluster that `ray up` started may grow to: it has no GPU before a job asks for one."""
    most: Counter[str] = Counter()
    for kind in kinds:
        most.update(kind)
    return dict(most)


def _listed_machines(file: Mapping[str, Any]) -> int:
    """How many machines with ssh the cluster file lists, the head included; 0 if it lists none."""
    provider = file.get("provider", {})
    return 1 + len(provider["worker_ips"]) if "worker_ips" in provider else 0


def _cluster_file() -> dict[str, Any]:
    """Ray tells nobody what a cluster may become, but the head has the file that `ray up` took, filled in."""
    path = Path("~/ray_bootstrap_config.yaml").expanduser()
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _kinds_when_grown(file: Mapping[str, Any]) -> list[dict[str, float]]:
    """The same by kind of machine."""
    types = file.get("available_node_types", {})
    return [
        {name: amount * kind.get("max_workers", 0) for name, amount in kind.get("resources", {}).items()}
        for kind in types.values()
    ]
