"""A laptop and three hosts with ssh, and the cluster that `ray up` makes of them: made once, used by all tests here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from hosts import LAB, LAPTOP, Host, Lab, usable
from sweeps import EXPERIMENT, HEAD, NAMES, WORKERS, wait_for_nodes

from mer_data.storage.store import Store

EPOCHS = {"short": 40, "long": 600, "longer": 6000}
# What a lab's machines would have in ~/.aws, and where the stand-in is.
AWS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": f"http://{LAPTOP}:5555",
}
FILL = """
import boto3
from blobs import blob_clips, write_blobs
from mer_data.storage.store import Store
boto3.client("s3").create_bucket(Bucket="lab")
write_blobs(Store("s3://lab/store"), "blobs", blob_clips(5, 3))
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where hosts cannot be made, the tests that need them say why."""
    reason = usable()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if reason and "lab" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The laptop, and a shared folder with a store and experiments: of seconds, of a minute, and of longer."""
    folder = tmp_path_factory.mktemp("lab")
    write_blobs(Store(folder / "store"), "blobs", blob_clips(5, 3))
    for name, epochs in EPOCHS.items():
        (folder / f"{name}.yaml").write_text(EXPERIMENT.format(epochs=epochs))
    with Lab(folder, AWS) as lab:
        yield lab


@pytest.fixture(scope="session")
def laptop(lab: Lab) -> Host:
    """The user's own machine, with the cluster file filled in."""
    host = lab.hosts["laptop"]
    fill = "; ".join(f"s#\\b{name}\\b#{value}#" for name, value in NAMES.items())
    host.run(
        f"sed -i '/^ *#/!{{{fill}; s#/SHARED/#{LAB}/#}}' mer/cluster/on-prem.yaml && ray get-auth-token --generate"
    )
    return host


class Alone(dict[str, str]):
    """What `mer score` says of each experiment after a run on the laptop alone; it is run when first asked for."""

    def __init__(self, laptop: Host) -> None:
        super().__init__()
        self._laptop = laptop

    def __missing__(self, name: str) -> str:
        run = f"MER_STORE={LAB}/store python mer/orchestrator/run_all.py {LAB}/{name}.yaml --out runs/{name}"
        self._laptop.run(run, timeout=600)
        told = self._laptop.run(f"cd mer && python -m orchestrator.cli.commands score --json ~/runs/{name}")
        return self.setdefault(name, told.stdout)


@pytest.fixture(scope="session")
def alone(laptop: Host) -> dict[str, str]:
    """The tables of one machine, by experiment."""
    return Alone(laptop)


@pytest.fixture(scope="session")
def aws(lab: Lab, laptop: Host) -> Path:
    """A stand-in for AWS that all hosts reach, with a bucket; its log, with a line for each request."""
    log = lab.folder / "aws.log"
    # It ends with the laptop.
    laptop.start(f"MOTO_IAM_LOAD_MANAGED_POLICIES=true moto_server -H {LAPTOP} -p 5555 > {LAB}/aws.log 2>&1")
    deadline = time.monotonic() + 60
    while "Running on" not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (lab.folder / "fill.py").write_text(FILL)
    laptop.run(f"cd mer && PYTHONPATH=.:tests python {LAB}/fill.py")
    return log


@pytest.fixture(scope="session")
def head(lab: Lab, laptop: Host) -> Iterator[Host]:
    """The head of a standing cluster of three hosts, started and stopped from the laptop."""
    host = lab.add("head", f"{HEAD}/24")
    for name, address in WORKERS.items():
        lab.add(name, f"{address}/24")
    laptop.run("cd mer && RAY_USAGE_STATS_ENABLED=0 ray up -y cluster/on-prem.yaml")
    wait_for_nodes(host, 3)
    yield host
    for name in ("head", *WORKERS):
        lab.hosts[name].kill()
