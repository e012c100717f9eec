"""A store in object storage, behind a real S3 protocol server on loopback."""

from pathlib import Path

import numpy as np
import pytest
from blobs import SPEC, blob_clips, write_blobs

from mer_data.problems import BadInput
from mer_data.storage.remote import Remote
from mer_data.storage.shards import LazyRows
from mer_data.storage.store import Store

IDS = [clip.id for clip in blob_clips()]


@pytest.fixture
def address(object_storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an empty store, seen from a machine with an empty cache."""
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "this-machine"))
    return f"s3://lab/{tmp_path.name}?{object_storage}"


def on_another_machine(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "another-machine"))
    return Store(address)


def test_what_one_machine_writes_another_reads(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(address)
    assert store.names() == []
    write_blobs(store, "blobs", blob_clips())
    other = on_another_machine(address, tmp_path, monkeypatch)
    assert other.names() == ["blobs"]
    assert other.dataset("blobs").clips == tuple(blob_clips())
    assert other.features("blobs") == ["flow_uvs_28"]
    mine, theirs = (one.feature("blobs", "flow_uvs_28") for one in (store, other))
    assert (theirs.key, theirs.shards) == (mine.key, mine.shards)
    np.testing.assert_array_equal(theirs.gather(IDS), mine.gather(IDS))
    np.testing.assert_array_equal(LazyRows([theirs], IDS, [2, 0]), mine.gather(IDS)[:, [2, 0]])


def test_a_shard_is_copied_once_per_machine(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_blobs(Store(address), "blobs", blob_clips())
    fetched: list[str] = []
    fetch = Remote.fetch

    def counted(self: Remote, relative: str) -> None:
        fetched.append(relative)
        fetch(self, relative)

    monkeypatch.setattr(Remote, "fetch", counted)
    for _ in range(2):
        on_another_machine(address, tmp_path, monkeypatch).feature("blobs", "flow_uvs_28").gather(IDS)
    shards = [name for name in fetched if name.endswith(".arrow")]
    assert len(shards) == len(set(shards)) == 6


def test_a_dataset_that_is_half_there_is_not_listed(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = Remote.push

    def broken(self: Remote, relative: str) -> None:
        if relative.endswith("manifest.json"):
            raise ConnectionError("the network is gone")
        push(self, relative)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "push", broken)
        with pytest.raises(ConnectionError):
            write_blobs(Store(address), "blobs", blob_clips())
    assert on_another_machine(address, tmp_path, monkeypatch).names() == []
    write_blobs(Store(address), "blobs", blob_clips())
    assert Store(address).names() == ["blobs"]


def test_replacing_removes_what_is_no_longer_part_of_it(address: str) -> None:
    store = Store(address)
    write_blobs(store, "blobs", blob_clips())
    write_blobs(store, "blobs", blob_clips(subjects=2))
    assert len(store.feature("blobs", "flow_uvs_28").shards) == 2
    with store.replacing("blobs") as writer:
        writer.clips(blob_clips(), format_="test", frame_root=None)
    assert store.features("blobs") == []


def test_shards_that_left_a_feature_are_removed_there_too(address: str) -> None:
    store = Store(address)
    write_blobs(store, "blobs", blob_clips())
    shards = store.feature("blobs", "flow_uvs_28").shards
    store.write_manifest("blobs", SPEC, shards[1:], "computed")
    assert store.shards("blobs", "flow_uvs_28") == {shard.file for shard in shards[1:]}


def test_a_server_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path))
    silent = "s3://lab/x?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    with pytest.raises(BadInput, match="check the address"):
        Store(silent).names()
    with pytest.raises(BadInput, match="check the address"):
        Store("nothing://lab/x")
