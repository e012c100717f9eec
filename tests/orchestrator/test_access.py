"""A disk that does not answer says nothing of what is on it: the run stops, and nothing is moved, made or trained."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trained import plan_for, train

from mer_data.problems import BadInput, NoAccess
from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.output.ledger import Ledger

Refuse = Callable[[Path, int], None]
ERRORS = (errno.EACCES, errno.EIO, errno.ESTALE)


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Makes the system refuse to read a file or to list a folder; root, who runs some tests, may read everything."""

    def refuse(path: Path, number: int) -> None:
        def refusing(function: Any) -> Any:
            def called(asked: Any, *arguments: Any, **named: Any) -> Any:
                if Path(os.fspath(asked)) == path:
                    raise OSError(number, os.strerror(number), str(asked))
                return function(asked, *arguments, **named)

            return called

        for name in ("read_bytes", "read_text", "open"):
            monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))
        monkeypatch.setattr(os, "scandir", refusing(os.scandir))
        monkeypatch.setattr(os, "listdir", refusing(os.listdir))

    return refuse


def mer(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("number", ERRORS)
def test_an_entry_that_cannot_be_opened_stays_where_it_is(
    blob_store: Store, tmp_path: Path, refuse: Refuse, number: int
) -> None:
    out = tmp_path / "out"
    train(plan_for(blob_store), out)
    ledger = Ledger(out / "ledger")
    entries = sorted(ledger.ids())
    (out / "ledger" / f"{entries[0]}.arrow").write_bytes(b"wrong")  # not even what is wrong is moved then
    before = snapshot(out)
    refuse(out / "ledger" / f"{entries[-1]}.arrow", number)
    with pytest.raises(NoAccess, match=os.strerror(number)):
        ledger.drop_damaged()
    assert snapshot(out) == before


def test_a_run_stops_before_an_entry_that_cannot_be_opened(
    blob_store: Store, tmp_path: Path, refuse: Refuse, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plan = tmp_path / "out", plan_for(blob_store)
    train(plan, out)
    (tmp_path / "t.yaml").write_text(
        f"{{name: t, store: {blob_store.root}, datasets: [blobs], models: [ststnet, majority],"
        "recipes: {ststnet: {epochs: 4}}}"
    )
    entry = out / "ledger" / f"{plan.jobs[0].id}.arrow"
    refuse(entry, errno.EIO)
    assert mer("run", tmp_path / "t.yaml", "--out", out) == 2
    error = capsys.readouterr().err
    assert f"{entry}: cannot be read: Input/output error" in error
    assert "Traceback" not in error
    assert entry.is_file()
    assert not (out / "ledger" / "damaged").exists()


@pytest.mark.parametrize("number", ERRORS)
def test_a_store_that_cannot_be_listed_is_not_empty(
    blob_store: Store, tmp_path: Path, refuse: Refuse, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(blob_store.root, number)
    (tmp_path / "t.yaml").write_text(f"{{name: t, store: {blob_store.root}, datasets: all, models: [majority]}}")
    assert mer("data", "list", "--store", blob_store.root) == 2
    assert mer("run", tmp_path / "t.yaml", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert os.strerror(number) in error
    assert "synthetic" not in error


@pytest.mark.parametrize("number", ERRORS)
def test_a_shard_that_cannot_be_opened_is_not_called_damaged(blob_store: Store, refuse: Refuse, number: int) -> None:
    feature = blob_store.feature("blobs", "flow_uvs_28")
    shard = blob_store.feature_folder("blobs", "flow_uvs_28") / feature.shards[0].file
    before = snapshot(blob_store.root)
    refuse(shard, number)
    with pytest.raises(NoAccess, match=os.strerror(number)):
        blob_store.damaged("blobs", feature.definition, feature.shards)
    assert snapshot(blob_store.root) == before


@pytest.mark.parametrize("name", ["plan.json", "ledger/conflicts", "ledger/failures"])
def test_what_tells_of_results_is_missed_when_it_cannot_be_read(
    blob_store: Store, tmp_path: Path, refuse: Refuse, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train(plan_for(blob_store), tmp_path / "out")
    refuse(tmp_path / "out" / name, errno.EACCES)
    assert mer("status", tmp_path / "out") == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_link_that_leads_nowhere_is_told_and_kept(blob_store: Store, tmp_path: Path) -> None:
    plan = plan_for(blob_store)
    train(plan, tmp_path / "out")
    entry = tmp_path / "out/ledger" / f"{plan.jobs[0].id}.arrow"
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "unmounted")
    ledger = Ledger(tmp_path / "out/ledger")
    with pytest.raises(NoAccess, match=r"is a link to .*unmounted, which is not there .*connect its disk"):
        ledger.drop_damaged()
    assert entry.is_symlink()
    (tmp_path / "elsewhere").rename(tmp_path / "unmounted")
    assert ledger.drop_damaged() == []


def test_a_right_entry_is_kept_although_a_remark_calls_it_damaged(blob_store: Store, tmp_path: Path) -> None:
    plan = plan_for(blob_store)
    train(plan, tmp_path / "out")
    ledger = Ledger(tmp_path / "out/ledger")
    for path in ledger.root.glob("*.arrow"):
        os.utime(path, (1e9, 1e9))
    ledger.drop_damaged()
    notes = ledger.root / "verified.json"
    notes.write_text(notes.read_text().replace('"whole"', '"whale"'))
    assert ledger.drop_damaged() == []


def test_what_was_set_aside_and_is_right_comes_back(blob_store: Store, tmp_path: Path) -> None:
    plan = plan_for(blob_store)
    train(plan, tmp_path / "out")
    ledger = Ledger(tmp_path / "out/ledger")
    whole = ledger.ids()
    first, second = sorted(whole)[:2]
    (ledger.root / "damaged").mkdir()
    (ledger.root / f"{first}.arrow").replace(ledger.root / "damaged" / f"{first}.arrow")
    (ledger.root / f"{second}.arrow").write_bytes(b"wrong")
    assert ledger.drop_damaged() == [second]
    assert ledger.restore() == [first]
    assert ledger.ids() == whole - {second}
    with pytest.raises(BadInput, match="no such file"):
        ledger.read(second)
