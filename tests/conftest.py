"""Fixtures that several rooms share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs

from mer_data.store import Store

# What the user's environment says must not lead tests to the user's own servers, stores and clusters.
for _name in ("MLFLOW_TRACKING_URI", "MER_STORE", "RAY_ADDRESS", "SSH_CONNECTION"):
    os.environ.pop(_name, None)
# A token that another run left in the home folder must not decide whether the tests' cluster starts.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray for the whole session: starting one costs seconds."""
    import ray

    from orchestrator import runtime

    runtime.start(cpus=2)
    yield
    ray.shutdown()


@pytest.fixture
def blob_store(tmp_path: Path) -> Store:
    """A store with one small dataset, ``blobs``: 6 subjects, 24 clips, three classes."""
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips())
    return store
