"""Fixtures that several rooms share."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from blobs import blob_clips, write_blobs
from moto.server import ThreadedMotoServer
from xdist.scheduler import LoadScopeScheduling

from mer_data.storage.store import Store

# What the user's environment says must not lead tests to the user's own servers, stores and clusters.
for _name in ("MLFLOW_TRACKING_URI", "MER_STORE", "MER_RUNS", "RAY_ADDRESS", "SSH_CONNECTION"):
    os.environ.pop(_name, None)
# Nor must what the user's own runs remember be read, or written.
os.environ["MER_CACHE"] = tempfile.mkdtemp(prefix="mer-cache-")
atexit.register(shutil.rmtree, os.environ["MER_CACHE"], ignore_errors=True)
# A token that another run left in the home folder must not decide whether the tests' cluster starts.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# Tests run beside each other: each with one thread, so that none waits for a core that another one has.
os.environ.setdefault("OMP_NUM_THREADS", "1")


class _TogetherWhatIsShared(LoadScopeScheduling):
    """With several processes (``-n 2``), tests that share something costly run in the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return _shares(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _TogetherWhatIsShared:
    config.option.loadscopereorder = False  # the order is ours, below
    return _TogetherWhatIsShared(config, log)


# They take longest, so they begin: what is left for the end is short, and no process waits for another one.
_LONGEST = (
    "ray",
    "report",
    "tests/models/test_registry.py",
    "tests/models/test_recorded.py",
    "tests/data/test_mutations.py",
    "tests/orchestrator/search/test_canaries.py",
    "tests/data/test_habits.py",
    "tests/models/test_pooled_convolution.py",
    "tests/orchestrator/test_start.py",
)
_RANK = {shared: rank for rank, shared in enumerate(_LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _RANK.get(_shares(item.nodeid), len(_RANK)))


@cache
def _shares(nodeid: str) -> str:
    """What a test shares: the session's Ray, what tests of the report read, the twin of a format, a file's fixtures."""
    file, _, name = nodeid.partition("::")
    if "ray_session" in _text(file):
        return "ray"
    if "/report/" in file:
        return "report"
    if file.endswith("test_contract.py"):
        return name.partition("[")[2].rstrip("]").partition("-")[0]
    return file


@cache
def _text(file: str) -> str:
    return (Path(__file__).parents[1] / file).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray for the whole session: starting one costs seconds."""
    from orchestrator.machines import local_ray, ray_cluster

    ray_cluster.start(cpus=2)
    yield
    local_ray.stop_local()


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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is marked `gpu` needs one."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
