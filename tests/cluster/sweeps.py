"""What the tests of the standing cluster share: its addresses, its sweeps, and how to look at them."""

from __future__ import annotations

import time

from hosts import LAB, Host, Lab

HEAD, WORKERS = "10.77.0.2", {"worker1": "10.77.0.3", "worker2": "10.77.0.4"}
NAMES = {"HEAD": HEAD, "WORKER1": WORKERS["worker1"], "WORKER2": WORKERS["worker2"], "USER": "root"}
SUBMIT = "cd mer && ray submit cluster/on-prem.yaml orchestrator/run_all.py -- "
EXPERIMENT = """\
name: blobs
datasets: [blobs]
models: [chance, majority, ststnet]
recipes:
  ststnet: {{epochs: {epochs}, batch_size: 8, order: shuffled, keep_every: 20}}
"""


def wait_for_nodes(head: Host, count: int) -> None:
    """Wait until a cluster has so many machines."""
    ask = "import ray; ray.init(address='auto', logging_level=40); print(sum(node['Alive'] for node in ray.nodes()))"
    deadline = time.monotonic() + 300
    while head.run(f'python -c "{ask}"').stdout.split()[-1] != str(count):
        assert time.monotonic() < deadline, head.run("ray status --verbose").stdout
        time.sleep(1)


def ledger(lab: Lab, name: str) -> dict[str, int]:
    """When each entry of an output folder's ledger was written."""
    return {path.name: path.stat().st_mtime_ns for path in (lab.folder / "runs" / name / "ledger").glob("*.arrow")}


def wait_for_entries(lab: Lab, name: str, count: int) -> None:
    """Wait until a running sweep has so many results."""
    deadline = time.monotonic() + 600
    while len(ledger(lab, name)) < count:
        assert time.monotonic() < deadline, f"{name} does not get to {count} results"
        time.sleep(0.05)


def score(host: Host, name: str) -> str:
    """The table of an output folder in the shared folder, as bytes to compare."""
    return host.run(f"mer score --json {LAB}/runs/{name}").stdout
