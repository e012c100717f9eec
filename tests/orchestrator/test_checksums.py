"""Every byte that decides a number has a checksum: whichever of them flips, it is told, nothing is computed of it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import ipc
from safetensors.numpy import load, save
from trained import plan_for, train

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import models
from orchestrator.cli import commands as cli
from orchestrator.experiment.plan import Plan
from orchestrator.output import weights
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory

FLIPS = 150
Reader = Callable[[], object]


@pytest.fixture
def out(blob_store: Store, tmp_path: Path) -> Path:
    """Results with the history of a search and weights."""
    out = tmp_path / "out"
    plan = replace(plan_for(blob_store), weights=True)
    train(plan, out)
    for job in plan.jobs:
        if job.model == "ststnet":
            state = {"w": np.arange(12, dtype=np.float32)}
            weights.write_weights(weights.weights_file(out / "weights", job), state, weights.card_of(plan, job))
    return out


def searched(store: Store, tmp_path: Path) -> tuple[Plan, Path]:
    plan = plan_for(store, models=["ststnet"], search={"configurations": 2, "groups": 2, "divisions": 2})
    SearchHistory.load(tmp_path / "searched", plan, plan.studies[0]).save(tmp_path / "searched", plan.studies[0])
    return plan, tmp_path / "searched/search" / f"{plan.studies[0].name}.json"


def reader_of(kind: str, store: Store, out: Path, tmp_path: Path) -> tuple[Path, Reader]:
    """A file of a kind, and what reads it."""
    folder = store.root / "blobs"
    if kind == "search history":
        plan, path = searched(store, tmp_path)
        return path, lambda: SearchHistory.load(tmp_path / "searched", plan, plan.studies[0])
    if kind == "ledger entry":
        path = next((out / "ledger").glob("*.arrow"))
        return path, lambda: Ledger(out / "ledger").read(path.stem)
    if kind == "weights":
        path = next((out / "weights").rglob("*.safetensors"))
        return path, lambda: (weights.read_card(path), weights.read_state(path))
    return {
        "clip table": (folder / "clips.arrow", lambda: store.dataset("blobs")),
        "dataset": (folder / "dataset.json", lambda: store.dataset("blobs")),
        "manifest": (folder / "features/flow_uvs_28/manifest.json", lambda: store.feature("blobs", "flow_uvs_28")),
        "plan": (out / "plan.json", lambda: Plan.load(out / "plan.json")),
    }[kind]


KINDS = ("clip table", "dataset", "manifest", "plan", "search history", "ledger entry", "weights")


@pytest.mark.parametrize("kind", KINDS)
def test_any_bit_that_flips_is_told(kind: str, blob_store: Store, out: Path, tmp_path: Path) -> None:
    path, reader = reader_of(kind, blob_store, out, tmp_path)
    reader()
    whole, chance = path.read_bytes(), random.Random(0)
    # The first bytes, where the checksum of a JSON document is, and many others.
    places = [*range(min(100, len(whole))), *chance.choices(range(len(whole)), k=FLIPS)]
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
        with pytest.raises(BadInput) as refused:
            reader()
        assert str(path) in str(refused.value), at
        assert refused.value.problems[0].remedy, at
    path.write_bytes(whole)
    reader()


def without_checksum(path: Path) -> None:
    """Write a file as earlier versions did."""
    if path.suffix == ".json":
        document = json.loads(path.read_bytes())
        del document["seal"]
        path.write_text(json.dumps(document, indent=1) + "\n")
    elif path.suffix == ".arrow":
        table = ipc.open_file(pa.py_buffer(path.read_bytes())).read_all()
        metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"seal"}
        table = table.replace_schema_metadata(metadata or None)
        with pa.OSFile(str(path), "wb") as file, ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        card = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["mer"])
        del card["seal"]
        path.write_bytes(save(load(data), metadata={"mer": json.dumps(card)}))
    assert b"mer-sha256" not in path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_earlier_versions_are_read(kind: str, blob_store: Store, out: Path, tmp_path: Path) -> None:
    path, reader = reader_of(kind, blob_store, out, tmp_path)
    before = repr(reader())
    without_checksum(path)
    assert repr(reader()) == before or kind in ("manifest", "weights")


def test_weights_are_saved_when_they_are_right_and_not_when_there_is_a_file(out: Path) -> None:
    plan = Plan.load(out / "plan.json")
    networks = [job for job in plan.jobs if models()[job.model].build is not None]
    files = [weights.weights_file(out / "weights", job) for job in networks]
    assert weights.without_weights(plan, out) == set()
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-1] + b"\xff")
    files[2].write_bytes(files[3].read_bytes())
    assert weights.without_weights(plan, out) == {job.id for job in networks[:3]}


def test_a_checksum_costs_little(out: Path) -> None:
    from mer_data import seal

    data = max((path.read_bytes() for path in (out / "ledger").glob("*.arrow")), key=len)
    start = time.perf_counter()
    for _ in range(2_000):
        seal.check(data)
    assert time.perf_counter() - start < 1  # 10,000 entries: a fraction of a second on a quiet machine


def mer(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def test_verify_goes_over_a_store(blob_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert mer("verify", blob_store.root) == 0
    assert "verified: 9 files" in capsys.readouterr().out
    without_checksum(blob_store.root / "blobs/clips.arrow")
    assert mer("verify", blob_store.root, "--json") == 0
    assert json.loads(capsys.readouterr().out)["older"] == 1
    shard = sorted(blob_store.root.rglob("*.arrow"))[-1]
    shard.write_bytes(shard.read_bytes()[:-200])
    assert mer("verify", blob_store.root) == 2
    error = capsys.readouterr().err
    assert str(shard) in error
    assert "import the dataset again" in error


@pytest.mark.parametrize("kind", ["plan", "ledger entry", "weights", "splits"])
def test_verify_goes_over_an_output_folder(
    kind: str, blob_store: Store, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan.load(out / "plan.json")
    for name, text in plan.split_files().items():
        (out / name).write_text(text)
    assert mer("verify", out) == 0
    capsys.readouterr()
    path = out / "splits-blobs.csv" if kind == "splits" else reader_of(kind, blob_store, out, tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b"casme2", b"casme3").replace(b"samm", b"sanm"))
    assert mer("verify", out) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert "again" in error


def test_verify_restores_what_was_set_aside(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = next((out / "ledger").glob("*.arrow"))
    (out / "ledger/damaged").mkdir()
    entry.replace(out / "ledger/damaged" / entry.name)
    assert mer("verify", "--restore", out) in (0, 2)
    assert entry.exists()
    assert "1 results were right" in capsys.readouterr().err


def test_verify_refuses_a_folder_of_other_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mer("verify", tmp_path) == 2
    assert "holds neither datasets nor results" in capsys.readouterr().err
