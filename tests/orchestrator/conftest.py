"""Fixtures that tests of searches share."""

from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store


@pytest.fixture
def without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where thousands of results are written, and no power fails."""
    monkeypatch.setattr("mer_data.files._flush", lambda path: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the dataset ``blobs``: 16 subjects with 6 clips each."""
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(16, 6))
    return store
