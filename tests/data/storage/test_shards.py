"""Shards: written row by row, no damage goes unseen, and what killed writers leave goes away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mer_data.features.spec import ClipFrames, FeatureSpec
from mer_data.problems import BadInput
from mer_data.storage.arrow_files import ArrayWriter, read_arrays, write_arrays
from mer_data.storage.shards import Shard, read_shard
from mer_data.storage.store import Store

ROWS = {f"casme2/sub01/{number}": np.random.default_rng(number).random((2, 3, 2), np.float32) for number in range(3)}
SHARD = Shard("casme2/sub01", "0123456789abcdef0123", len(ROWS))
FORM = ((2, 3, 2), "float32")
SPEC = FeatureSpec("flow", 1, "onset-apex", ("u", "v"), (3, 2), "float32", {}, lambda frames: np.zeros(0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_arrays(tmp_path / SHARD.file, ROWS.items(), {"key": SHARD.key})
    return tmp_path / SHARD.file


def test_rows_one_by_one_give_the_bytes_of_rows_at_once(path: Path, tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "one", {"key": SHARD.key}) as one, ArrayWriter(tmp_path / "two", {}) as two:
        for clip_id, array in ROWS.items():
            one.add(clip_id, array)
            two.add(clip_id, array)
    assert (tmp_path / "one").read_bytes() == path.read_bytes()
    assert set(read_arrays(tmp_path / "two", "")[0]) == set(ROWS)


def test_a_writer_holds_few_rows_and_a_discarded_one_leaves_nothing(tmp_path: Path) -> None:
    large = np.zeros((9 << 20,), np.uint8)
    with ArrayWriter(tmp_path / "gone", {}) as writer:
        writer.add("a", large)
        assert [path.stat().st_size > large.nbytes for path in tmp_path.iterdir()] == [True], "rows are collected"
        writer.discard()
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_nothing_of_a_shard(tmp_path: Path) -> None:
    def rows() -> Iterator[tuple[str, np.ndarray]]:
        yield "a", np.zeros((9 << 20,), np.uint8)
        raise KeyError

    with pytest.raises(KeyError):
        write_arrays(tmp_path / "gone", rows(), {})
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no arrays"), ArrayWriter(tmp_path / "empty", {}):
        pass


@pytest.mark.parametrize("file", [b"", b"ARROW1\0\0"])
def test_a_stump_is_named(path: Path, file: bytes) -> None:
    path.write_bytes(file)
    with pytest.raises(BadInput, match="cannot be read"):
        read_shard(path, SHARD, *FORM, verify=True)


def test_no_truncation_goes_unseen(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole) - 1024, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput):
            read_shard(path, SHARD, *FORM, verify=True)


def test_no_changed_byte_goes_unseen_that_changes_anything(path: Path) -> None:
    """In padding, and in fields that nobody reads, a byte may be anything."""
    whole = path.read_bytes()
    seen = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        try:
            arrays = read_shard(path, SHARD, *FORM, verify=True)
        except BadInput:
            seen += 1
            continue
        assert list(arrays) == list(ROWS), place
        assert all(np.array_equal(arrays[clip_id], array) for clip_id, array in ROWS.items()), place
    assert seen > sum(array.nbytes for array in ROWS.values())


def test_another_shard_under_the_same_name_is_damage(path: Path) -> None:
    for other in (Shard(SHARD.subject, "f" * 20, 3), Shard(SHARD.subject, SHARD.key, 2)):
        with pytest.raises(BadInput, match="not the file"):
            read_shard(path, other, *FORM)
    with pytest.raises(BadInput, match="not the file"):
        read_shard(path, SHARD, FORM[0], "int32")


def test_the_store_names_damaged_shards_and_reads_unchanged_ones_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    path = store.feature_folder("casme2", "flow") / SHARD.file
    write_arrays(path, ROWS.items(), {"key": SHARD.key})
    os.utime(path, (1e9, 1e9))  # what is a few seconds old may change again in the same instant
    definition = SPEC.describe()
    assert store.damaged("casme2", definition, [SHARD]) == {}
    with monkeypatch.context() as patched:
        patched.setattr("mer_data.storage.store.read_shard", lambda *_, **__: pytest.fail("read again"))
        assert store.damaged("casme2", definition, [SHARD]) == {}
    data = bytearray(path.read_bytes())
    data[data.index(ROWS["casme2/sub01/1"].tobytes())] ^= 1
    path.write_bytes(data)
    found = store.damaged("casme2", definition, [SHARD])
    assert list(found) == [SHARD.file]
    assert "casme2/sub01/1 is damaged" in found[SHARD.file].replace(":", "")


def test_what_dead_writers_left_goes_when_the_feature_is_declared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.feature_folder("casme2", "flow")
    write_arrays(folder / SHARD.file, ROWS.items(), {"key": SHARD.key})
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here, away = socket.gethostname(), "another.example"
    dead, alive = folder / f".a.arrow.{here}.{ended.pid}.tmp", folder / f".a.arrow.{here}.{os.getpid()}.tmp"
    unknown, old = folder / f".a.arrow.{away}.{ended.pid}.tmp", folder / f".b.arrow.{away}.{ended.pid}.tmp"
    for left in (dead, alive, unknown, old):
        left.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    store.write_manifest("casme2", SPEC, [SHARD], "computed")
    assert set(folder.glob(".*.tmp")) == {alive, unknown}


def test_what_features_share_is_made_once_for_each_key() -> None:
    frames, calls = ClipFrames([]), []
    for key in ("a", "b", "a"):
        assert frames.once(key, lambda key=key: calls.append(key) or key.upper()) == key.upper()
    assert calls == ["a", "b"]
    assert ClipFrames([]).once("a", lambda: "of other frames") == "of other frames"
