"""Messages that say the next step: where it stands, where it belongs, what fits, what there is."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from trained import plan_for, train

from mer_data.formats import FORMATS
from mer_data.problems import did_you_mean
from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.experiment.cohort import make_cohort
from orchestrator.experiment.sections import DatasetChoice

FILE = """name: t
store: {store}
datasets: [blobs]
models: [{model}]
"""


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out, said.err


@pytest.fixture
def file(blob_store: Store, tmp_path: Path) -> Path:
    path = tmp_path / "t.yaml"
    path.write_text(FILE.format(store=blob_store.root, model="ststnet"))
    return path


def test_an_unknown_model_is_told_with_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace("[ststnet]", "\n  - ststnet\n  - stsnet2"))
    status, _, err = told(capsys, "run", file)
    assert status == 2
    assert f"{file}, line 6: models.1: unknown model 'stsnet2' (did you mean 'ststnet'?" in err
    assert "--models FILE.py" in err


@pytest.mark.parametrize(
    ("line", "belongs"),
    [
        ("epochs: 5", "it belongs to a model's recipe: `recipes: {MODEL: {epochs: ...}}`"),
        ("configurations: 5", "it belongs to the search: `search: {configurations: ...}`"),
        ("classes: 5-class", "it belongs to a dataset: `datasets: [{name: NAME, classes: ...}]`"),
        ("search: {seeds: [1]}", "it belongs to the top of the file: `seeds: ...` without blanks before it"),
        ("search: {lr: 5}", "it belongs to a model's recipe"),
        ("modles: [ststnet]", "did you mean 'models'?"),
    ],
)
def test_a_key_at_the_wrong_level_is_told_where_it_belongs(
    file: Path, line: str, belongs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"{file.read_text()}{line}\n")
    status, _, err = told(capsys, "run", file)
    assert (status, belongs in err, f"{file}, line 5: " in err) == (2, True, True), err


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        ("recipes:\n  ststnet: {epochs: -5}", 6, "epochs must be at least 1"),
        ("recipes:\n  ststnet:\n    lr: fast", 7, "recipes.ststnet.lr: must be a number"),
        ("recipes:\n  ststnet:\n    rate: 1", 7, "recipes.ststnet.rate: unknown key"),
        ("recipes:\n  off_apexnet: {lr: 1}", 6, "recipes.off_apexnet: is not among the experiment's models"),
        (
            "search:\n  space:\n    ststnet:\n      lr: {low: 2, high: 1}",
            8,
            "search.space.ststnet.lr: low must be less",
        ),
        ("search:\n  space:\n    ststnet:\n      lr: [fast]", 8, "search.space.ststnet.lr: 'fast': must be a number"),
    ],
)
def test_a_recipe_or_range_that_is_wrong_is_told_with_its_line(
    file: Path, lines: str, where: int, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"{file.read_text()}{lines}\n")
    status, _, err = told(capsys, "run", file)
    assert status == 2
    assert f"{file}, line {where}: " in err
    assert what in err
    assert not {word for word in ("tuple[", "Range", "Value error", "Input should") if word in err}


def test_class_schemes_that_fit_are_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace("[blobs]", "[{name: blobs, classes: 9-class}]"))
    status, _, err = told(capsys, "run", file)
    assert status == 2
    assert "unknown class scheme '9-class' (for these clips: 3-class (24 of 24 clips), " in err


@pytest.mark.parametrize(
    ("written", "meant"),
    [("CASME2", "casme2"), ("CASME-II", "casme2"), ("Smic E", "smic_e"), ("CAS(ME)³ A", "casme3a")],
)
def test_names_are_known_however_they_are_written(written: str, meant: str) -> None:
    assert did_you_mean(written, FORMATS) == f"did you mean {meant!r}?"


def test_an_experiment_file_of_another_encoding(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = file.read_text().replace("ststnet", "stsnet2")
    for encoding in ("utf-16", "utf-8-sig"):
        file.write_bytes(text.encode(encoding))
        status, _, err = told(capsys, "run", file)
        assert (status, "unknown model 'stsnet2'" in err) == (2, True), encoding
    file.write_bytes(f"# 微表情\n{text}".encode("gbk"))
    status, _, err = told(capsys, "run", file)
    assert status == 2
    remedy = f"iconv -f GBK -t UTF-8 {file} > utf8.yaml"
    assert remedy in err
    converted = file.read_bytes().decode("gbk").encode("utf-8")  # what that command writes
    file.write_bytes(converted)
    assert "unknown model 'stsnet2'" in told(capsys, "run", file)[2]


def test_an_empty_store_says_how_it_is_filled(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(FILE.format(store=tmp_path / "none", model="ststnet"))
    status, _, err = told(capsys, "run", file)
    assert (status, "mer data import" in err) == (2, True), err


def test_why_clips_are_left_out(blob_store: Store) -> None:
    clips = blob_clips()
    told = [replace(clip, apex_source="annotated") for clip in clips[:-2]]
    guessed = [replace(clip, apex_source="spotted") for clip in clips[-2:]]
    write_blobs(blob_store, "other", [*told, *guessed])
    _, cohort = make_cohort(blob_store, DatasetChoice(name="other", apex=["annotated"]))
    assert (cohort.left_out, cohort.why_left_out) == (2, {"apex spotted": 2})
    _, cohort = make_cohort(blob_store, DatasetChoice(name="blobs"))
    assert (cohort.left_out, cohort.why_left_out) == (0, {})


def test_results_are_found_by_name_where_runs_go(
    blob_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mer_data.files._flush", lambda path: None)
    out = tmp_path / "my runs/first"
    train(plan_for(blob_store, seeds=[0]), out)
    monkeypatch.setenv("MER_RUNS", str(out.parent))
    monkeypatch.chdir(tmp_path)
    for command in ("status", "score", "report"):
        status, _, err = told(capsys, command, "first")
        assert status == 0, err
    assert (out / "report/report.html").exists()
    assert told(capsys, "capsule", "first", "first.mer")[0] == 0
    shutil.copytree(out, tmp_path / "first")
    (tmp_path / "first/plan.json").unlink()
    assert told(capsys, "status", "first")[0] == 2, "what is here comes before what is there"


def test_runs_are_listed_with_their_best_rows(
    blob_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mer_data.files._flush", lambda path: None)
    runs = tmp_path / "runs"
    for name in ("earlier", "broken", "later"):
        train(plan_for(blob_store, seeds=[0]), runs / name)
        os.utime(runs / name / "plan.json", (0, 0))
    told(capsys, "score", runs / "earlier")
    (runs / "broken/plan.json").write_text("{")
    os.utime(runs / "earlier/ledger", (1, 1))
    os.utime(runs / "broken/plan.json", (0, 0))
    status, out, _ = told(capsys, "runs", runs, "--json")
    listed = json.loads(out)["runs"]
    assert (status, [run["name"] for run in listed]) == (0, ["later", "earlier", "broken"])
    first = json.loads(told(capsys, "score", runs / "later", "--json")[1])
    best = max(row["uf1"] for row in first["rows"] if row["scope"] == "all")
    assert listed[1]["best"]["uf1"] == pytest.approx(best, abs=1e-5)
    assert (listed[0]["done"], listed[0]["left"], listed[0]["failed"]) == (first_jobs(first), 0, 0)
    assert "plan.json" in listed[2]["problem"]
    monkeypatch.setenv("MER_RUNS", str(runs))
    shown = told(capsys, "runs")[1]
    assert "later" in shown
    assert time.strftime("%Y-%m-%d") in shown
    assert told(capsys, "runs", tmp_path / "none")[0] == 2


def first_jobs(document: dict[str, object]) -> int:
    rows = document["rows"]
    assert isinstance(rows, list)
    return sum(row["jobs_done"] for row in rows if row["scope"] == "all")
