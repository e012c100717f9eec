"""Capsules: what is in them, and that nothing else is accepted as one."""

import json
import os
import shutil
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from altered import SEAL, contents, repaired, sealed, write

from mer_data.problems import BadInput
from orchestrator.console import Console
from orchestrator.experiment.plan import Plan
from orchestrator.output import capsule
from orchestrator.output.capsule import unpack_capsule
from orchestrator.output.ledger import Ledger
from orchestrator.output.results import open_results
from orchestrator.report.capsules import make_capsule
from orchestrator.report.verification import verify_capsule


def refusal(path: Path) -> str:
    """What is said of a file that is not accepted; nothing of it has been unpacked beside its folder."""
    with pytest.raises(BadInput) as caught:
        open_results(path, Console())
    return str(caught.value)


def test_a_capsule_holds_plan_results_and_what_follows_from_them(listed: Path, listed_out: Path) -> None:
    files, plan = contents(listed), Plan.load(listed_out / "plan.json")
    others = {"manifest.json", "plan.json", "splits-blobs.csv", "features.json", "environment.json", "score.json"}
    assert files.keys() == others | {f"ledger/{job.id}.arrow" for job in plan.jobs}
    for job in plan.jobs:
        assert files[f"ledger/{job.id}.arrow"] == (listed_out / f"ledger/{job.id}.arrow").read_bytes()
    (definition,) = json.loads(files["features.json"]).values()
    assert (definition["feature"], definition["dataset"]) == ("flow_uvs_28", "blobs")
    assert definition["definition"]["params"] == {"origin": "test"}
    (machine,) = json.loads(files["environment.json"])["trained_on"]
    assert machine == {"device": "cpu x86_64", "environment": {"python": "3.11"}, "jobs": 24}


def test_the_same_results_give_the_same_bytes(listed: Path, listed_out: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(listed_out, elsewhere)
    for path in elsewhere.rglob("*.arrow"):
        os.utime(path, (0, 0))
    make_capsule(str(elsewhere), tmp_path / "again.mer", Console(), every=1, partial=False)
    assert (tmp_path / "again.mer").read_bytes() == listed.read_bytes()


def test_nothing_in_a_capsule_tells_of_the_machine(searched: Path, listed: Path, searched_out: Path) -> None:
    for name, content in [*contents(searched).items(), *contents(listed).items()]:
        for told in (str(searched_out.parents[2]), str(Path.home()), socket.gethostname()):
            assert told.encode() not in content, name
    assert json.loads(contents(listed)["plan.json"])["store"] == ""


def test_text_of_model_files_is_carried_and_never_run(listed: Path, tmp_path: Path) -> None:
    plan = json.loads(contents(listed)["plan.json"])
    del plan["seal"]  # a stranger who edits it may leave it out
    marker = tmp_path / "was-run"
    plan["model_files"] = [{"path": "mine.py", "source": f"open({str(marker)!r}, 'w')"}]
    told = json.dumps(plan).replace("ststnet", "registered_nowhere").encode()
    path = repaired(listed, tmp_path / "mine.mer", {"plan.json": told})
    opened, ledger = open_results(path, Console())
    assert set(opened.recipes) == {"registered_nowhere", "majority"}
    assert len(ledger.ids()) == 24
    verify_capsule(path)
    assert not marker.exists()


def test_where_it_was_unpacked_is_gone_when_nobody_needs_it(listed: Path) -> None:
    _, ledger = open_results(listed, Console())
    root = ledger.root
    assert root.is_dir()
    del ledger
    assert not root.exists()
    assert not root.parents[1].exists()


def test_fewer_epochs_keep_what_choices_rest_on(searched_out: Path, searched: Path, tmp_path: Path) -> None:
    to = tmp_path / "thin.mer"
    make_capsule(str(searched_out), to, Console(), every=3, partial=False)
    found = verify_capsule(to)
    assert (found.problems, found.searches) == ((), 2)
    assert found.remarks == ("of the epochs that folds kept, one in 3 and the last are here",)
    assert sum(map(len, contents(to).values())) < sum(map(len, contents(searched).values()))
    row, whole = (json.loads(contents(path)["score.json"])["rows"][0] for path in (to, searched))
    assert (row["uf1"], row["uf1_interval"]) == (whole["uf1"], whole["uf1_interval"])


def test_every_nth_epoch_and_the_last(listed_out: Path, tmp_path: Path) -> None:
    make_capsule(str(listed_out), tmp_path / "thin.mer", Console(), every=3, partial=False)
    plan, ledger = open_results(tmp_path / "thin.mer", Console())
    whole = Ledger(listed_out / "ledger")
    for job in plan.jobs:
        thin, full = ledger.read(job.id), whole.read(job.id)
        assert thin.epochs == ((3, 4) if job.model == "ststnet" else (1,))
        assert np.array_equal(thin.logits, full.logits[[2, 3] if job.model == "ststnet" else [0]])


def test_folders_that_lack_folds_are_refused(listed_out: Path, tmp_path: Path) -> None:
    out, to = tmp_path / "out", tmp_path / "a.mer"
    shutil.copytree(listed_out, out)
    next((out / "ledger").glob("*.arrow")).unlink()
    with pytest.raises(BadInput, match="1 of 24 folds are missing"):
        make_capsule(str(out), to, Console(), every=1, partial=False)
    assert not to.exists()
    make_capsule(str(out), to, Console(), every=1, partial=True)
    assert verify_capsule(to).remarks == ("folds are missing: the table is marked as not complete",)


def test_only_capsules_are_written_over(listed: Path, listed_out: Path, tmp_path: Path) -> None:
    for out, to, what in ((listed_out, "plan.json", "is no name"), (listed, "a.mer", "is a capsule")):
        with pytest.raises(BadInput, match=what):
            make_capsule(str(out), tmp_path / to, Console(), every=1, partial=False)


def test_more_than_a_capsule_may_hold_is_not_written(
    listed_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capsule, "MOST_FILES", 20)
    with pytest.raises(BadInput, match="would hold 29 files"):
        make_capsule(str(listed_out), tmp_path / "a.mer", Console(), every=1, partial=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_cut_off(listed: Path, tmp_path: Path) -> None:
    whole, cut = listed.read_bytes(), tmp_path / "cut.mer"
    for length in (0, 1, 50, len(whole) // 2, len(whole) - SEAL, len(whole) - 1):
        cut.write_bytes(whole[:length])
        assert refusal(cut) == f"{cut}: is cut off, or is no capsule (give what `mer capsule` wrote, whole)"


def test_an_altered_byte_is_found_and_its_file_named(listed: Path, tmp_path: Path) -> None:
    whole, other = listed.read_bytes(), tmp_path / "other.mer"
    with zipfile.ZipFile(listed) as packed:
        # Of the many results of the ledger, one.
        listing = [*{info.filename.partition("/")[0]: info for info in packed.infolist()}.values()]
    for info in listing:
        start = info.header_offset + 30 + len(info.filename)
        for place in (start, start + info.compress_size // 2, start + info.compress_size - 1):
            other.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            told = refusal(other)
            # The last bits of a packed file may say nothing; then the checksum of the whole tells.
            assert f"{other}, {info.filename}: is altered" in told or "was altered beside its files" in told
            assert place == start + info.compress_size - 1 or info.filename in told


def test_every_byte_counts(listed: Path, tmp_path: Path) -> None:
    whole, other = listed.read_bytes(), tmp_path / "other.mer"
    for place in np.random.default_rng(0).choice(len(whole), 20, replace=False):
        other.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert str(other) in refusal(other)


def test_content_changed_without_its_checksum(listed: Path, tmp_path: Path) -> None:
    files = contents(listed)
    files["score.json"] = files["score.json"].replace(b'"clips": 24', b'"clips": 42')
    path = write(tmp_path / "a.mer", files)
    assert refusal(path) == f"{path}, score.json: is altered: its checksum is wrong (get it again from where it came)"


def test_a_newer_version(listed: Path, tmp_path: Path) -> None:
    files = contents(listed)
    files["manifest.json"] = files["manifest.json"].replace(b'"format": 1', b'"format": 2')
    told = refusal(write(tmp_path / "a.mer", files))
    assert "is of version 2 of capsules, and this program reads versions up to 1 (take a newer version" in told


@pytest.mark.parametrize(
    "name",
    ["../x.json", "/etc/x", "ledger/../../x.arrow", "search/a.scores.json", "search/.x.json", "notes.txt", "ledger\\x"],
)
def test_files_that_no_capsule_has(listed: Path, tmp_path: Path, name: str) -> None:
    path = repaired(listed, tmp_path / "a.mer", {name: b"{}"})
    assert refusal(path) == f"{path}: holds {name!r}, which no capsule has (not unpacked)"
    assert [found.name for found in tmp_path.iterdir()] == ["a.mer"]


def test_files_that_are_missing(listed: Path, tmp_path: Path) -> None:
    for name in ("plan.json", "score.json", "environment.json", "features.json"):
        path = repaired(listed, tmp_path / "a.mer", {name: None})
        assert refusal(path) == f"{path}, {name}: is missing (get it again from where it came)"
    files = contents(listed)
    entry = next(name for name in files if name.startswith("ledger/"))
    assert f", {entry}: is missing" in refusal(write(path, {k: v for k, v in files.items() if k != entry}))
    assert ", manifest.json: is missing" in refusal(write(path, {k: v for k, v in files.items() if k[0] != "m"}))


def declaring(path: Path, to: Path, name: str, size: int) -> Path:
    """A capsule of which the entry of a file says another size, in both places where a zip says it."""
    with zipfile.ZipFile(path) as packed:
        at = packed.getinfo(name).header_offset
        start = packed.start_dir
    content = bytearray(path.read_bytes())
    content[at + 22 : at + 26] = struct.pack("<L", size)
    while True:
        length, extra, comment = struct.unpack_from("<3H", content, start + 28)
        if content[start + 46 : start + 46 + length] == name.encode():
            content[start + 24 : start + 28] = struct.pack("<L", size)
            to.write_bytes(content)
            return sealed(to)
        start += 46 + length + extra + comment


def test_a_file_that_would_fill_the_disk_is_not_unpacked(listed: Path, tmp_path: Path) -> None:
    bomb = repaired(listed, tmp_path / "bomb.mer", {"splits-blobs.csv": bytes(90 << 20)})
    assert "more than a capsule may (it is not unpacked)" in refusal(bomb), "by what its entry says"
    huge = declaring(listed, tmp_path / "huge.mer", "plan.json", 0xF000_0000)
    assert "more than a capsule may (it is not unpacked)" in refusal(huge)
    lying = repaired(listed, tmp_path / "lying.mer", {"splits-blobs.csv": bytes(1 << 20)})
    files = contents(lying)
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["splits-blobs.csv"]["size"] = 10
    files["manifest.json"] = json.dumps(manifest).encode()
    small = declaring(write(lying, files), tmp_path / "small.mer", "splits-blobs.csv", 10)
    assert ", splits-blobs.csv: is altered" in refusal(small), "by what comes out of it, of which ten bytes are read"


def test_more_files_than_a_capsule_may_have(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capsule, "MOST_FILES", 10)
    assert refusal(listed) == f"{listed}: holds more than 10 files (it is not unpacked)"


def test_two_files_of_one_name(listed: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mer"
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in contents(listed).items():
            packed.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("plan.json", b"{}")
        packed.comment = b"0" * SEAL
    assert "holds two files of the same name" in refusal(sealed(path))


def test_a_file_that_is_not_there_or_no_capsule(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.mer")
    (tmp_path / "text").write_text("x" * 1000)
    assert "is cut off, or is no capsule" in refusal(tmp_path / "text")
    with pytest.raises(BadInput):
        unpack_capsule(tmp_path, tmp_path / "to")
