"""Fixtures that several rooms share."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from blobs import blob_clips, write_blobs
from moto.server import ThreadedMotoServer

from mer_data.storage.store import Store

# What the user's environment says must not lead tests to the user's own servers, stores and clusters.
for _name in ("MLFLOW_TRACKING_URI", "MER_STORE", "MER_RUNS", "RAY_ADDRESS", "SSH_CONNECTION"):
    os.environ.pop(_name, None)
# A token that another run left in the home folder must not decide whether the tests' cluster starts.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes (``-n 2``), tests that share something costly run in the same one.

    That is the session's Ray, whose tests take longest and so begin; what the tests of the report read; the twin of a
    format; else what a file's tests share.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_shares(item)))
    items.sort(key=lambda item: "ray_session" not in getattr(item, "fixturenames", ()))


def _shares(item: pytest.Item) -> str:
    if "ray_session" in getattr(item, "fixturenames", ()):
        return "ray"
    if item.path.parent.name == "report":
        return "report"
    if item.path.name == "test_contract.py" and hasattr(item, "callspec"):
        return str(item.callspec.id.split("-")[0])
    return str(item.path)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray for the whole session: starting one costs seconds."""
    import ray

    from orchestrator.machines import ray_cluster

    ray_cluster.start(cpus=2)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def object_storage() -> Iterator[str]:
    """A real S3 protocol server on loopback with the bucket ``lab``: the part of a URI that names it."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_EC2_METADATA_DISABLED": "true"}
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    _, port = running.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="lab")
    yield f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    running.stop()


@pytest.fixture
def blob_store(tmp_path: Path) -> Store:
    """A store with one small dataset, ``blobs``: 6 subjects, 24 clips, three classes."""
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips())
    return store
