"""The files of an output folder that a person opens: they say what the score says, with the same bytes each time."""

import csv
import io
import json
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blobs import blob_clips, write_blobs
from ledgers import commit, knowing, plan_for
from simulated import histories, plan_of, simulate

from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.console import Console
from orchestrator.experiment.config import load
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.folder import Output
from orchestrator.output.ledger import Ledger
from orchestrator.report.flat_tables import csv_text
from orchestrator.report.predictions import score_cells

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")
FILES = {"leaderboard.csv", "leaderboard.md", "predictions.csv", "per_subject.csv", "per_class.csv", "environment.json"}


def mer(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def filled(store: Store, out: Path, **changes: object) -> Plan:
    plan = plan_for(store, **{"models": ["ststnet", "majority"], "seeds": [3, 5], **changes})
    plan.save(out / "plan.json")
    commit(plan, Ledger(out / "ledger"), knowing({"ststnet": 0.8, "majority": 0.2}))
    return plan


@pytest.fixture
def out(blob_store: Store, tmp_path: Path) -> Path:
    filled(blob_store, tmp_path / "out")
    return tmp_path / "out"


def scored(out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert mer("score", out, "--json") == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_the_files_appear_and_are_named(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mer("score", out) == 0
    assert f"environment.json: in {out}" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"plan.json", "ledger", *FILES}


def test_the_page_names_every_file() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/results-files.md").read_text(encoding="utf-8")
    table = page.split("| file |")[1].split("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+\.[a-z]+)`", table))
    assert named == FILES | {"chosen.csv", "experiment.yaml", "run.log"}
    for words in re.findall(r"^mer compare (.*)$", page, re.MULTILINE):
        cli.mer.commands["compare"].make_context("compare", shlex.split(words))


def test_the_same_ledger_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(out, tmp_path / "copy"))
    assert mer("score", out) == mer("score", copy, "--rule", "oracle-epoch") == 0
    for name in FILES - {"environment.json"}:
        assert (out / name).read_bytes() == (copy / name).read_bytes(), name
    before = {name: (out / name).read_bytes() for name in FILES}
    assert mer("score", out) == 0
    assert {name: (out / name).read_bytes() for name in FILES} == before


def test_the_leaderboard_is_that_of_the_score(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {(row["model"], row["scope"]): row for row in scored(out, capsys)["rows"]}
    found = lines(out / "leaderboard.csv")
    assert [(one["model"], one["scope"]) for one in found] == [
        (model, scope) for model in ("ststnet", "majority") for scope in ("all", "casme2", "samm")
    ]
    for one in found:
        row = rows[one["model"], one["scope"]]
        for name in ("uf1", "uar", "accuracy", "above_chance"):
            assert float(one[name]) == pytest.approx(row[name], rel=1e-5)
        assert float(one["uf1_low"]) == pytest.approx(row["uf1_interval"][0], rel=1e-5)
        assert (one["complete"], one["seeds"], one["clips"]) == ("true", "2", str(row["clips"]))
    text = (out / "leaderboard.md").read_text(encoding="utf-8")
    assert f"| {rows['ststnet', 'all']['uf1']:.4f} |" in text.replace("*", "")
    assert "NOT COMPLETE" not in text


def test_predictions_give_the_score_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has the file alone can count everything: here the confusion matrix and accuracies per subject."""
    document = scored(out, capsys)
    found = lines(out / "predictions.csv")
    assert len(found) == 2 * 2 * 24
    assert {(one["rule"], one["source"], one["subject"].split("/")[0] == one["source"]) for one in found} == {
        ("last", "casme2", True), ("last", "samm", True),
    }  # fmt: skip
    for row in document["rows"]:
        if row["scope"] == "all":
            mine = [one for one in found if one["model"] == row["model"]]
            assert {one["fold"] for one in mine} == {one["subject"] for one in mine}
            assert {one["seed"] for one in mine} == {"3", "5"}
            pairs = Counter((one["true"], one["predicted"]) for one in mine)
            counted = [[pairs[true, said] for said in row["classes"]] for true in row["classes"]]
            assert counted == row["confusion"]
    right = Counter((one["model"], one["seed"], one["subject"]) for one in found if one["true"] == one["predicted"])
    for one in lines(out / "per_subject.csv"):
        assert (one["clips"], int(one["correct"])) == ("4", right[one["model"], one["seed"], one["subject"]])


def test_probabilities_are_given_where_there_are_any(out: Path) -> None:
    assert mer("score", out) == 0
    for one in lines(out / "predictions.csv"):
        told = {name.removeprefix("probability "): value for name, value in one.items() if name.startswith("prob")}
        assert list(told) == ["negative", "positive", "surprise"]
        if one["model"] == "majority":
            assert set(told.values()) == {""}
        else:
            assert float(told[one["predicted"]]) == max(map(float, told.values()))
            assert sum(map(float, told.values())) == pytest.approx(1, abs=2e-6)


def test_classes_have_a_file(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {(row["model"], row["scope"]): row for row in scored(out, capsys)["rows"]}
    for one in lines(out / "per_class.csv"):
        told = {c["class"]: c for c in rows[one["model"], one["scope"]]["per_class"]}[one["class"]]
        assert (float(one["f1"]), int(one["clips"])) == (pytest.approx(told["f1"], rel=1e-5), told["clips"])


def test_what_is_not_complete_says_so(out: Path) -> None:
    next((out / "ledger").glob("*.arrow")).unlink()
    assert mer("score", out) == 2
    assert not (out / "leaderboard.md").exists()
    assert mer("score", out, "--partial") == 1
    assert "NOT COMPLETE" in (out / "leaderboard.md").read_text()
    assert "false" in {one["complete"] for one in lines(out / "leaderboard.csv")}


def test_a_search_says_what_it_chose(tmp_path: Path, blob_store: Store) -> None:
    plan = plan_of(blob_store, configurations=3, groups=2, divisions=2)
    simulate(plan, tmp_path / "out")
    plan.save(tmp_path / "out/plan.json")
    assert mer("score", tmp_path / "out") == 0
    found = lines(tmp_path / "out/chosen.csv")
    assert sorted(one["fold"] for one in found) == sorted(plan.datasets["blobs"].folds)
    for study, history in zip(plan.studies, histories(plan, tmp_path / "out"), strict=True):
        assert history.chosen is not None
        for one in found:
            if one["group"] == study.group:
                assert (int(one["configuration"]), int(one["epoch"])) == (history.chosen.number, history.chosen.epoch)
                assert all(f"{name}={value}" in one["parameters"] for name, value in history.chosen.params.items())


def test_the_machines_that_trained_and_scored_are_told(out: Path) -> None:
    assert mer("score", out) == 0
    told = json.loads((out / "environment.json").read_text())
    assert told["trained"] == [{"folds": 24, "device": "cpu"}]
    assert {"python", "platform", "cores", "the project's code", "numpy", "torch"} <= set(told["scored"])


def test_a_folder_that_cannot_be_written_is_scored_all_the_same(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    capsys.readouterr()
    assert mer("score", out, "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["complete"] is True
    assert "no file was written into the output folder" in told.err


def test_files_of_a_folder_in_object_storage_are_sent(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    there = tmp_path / "bucket/runs/x"
    shutil.copytree(out, there)
    assert mer("score", there.as_uri()) == 0
    assert {path.name for path in there.iterdir() if not path.name.startswith(".")} >= FILES
    before = (there / "leaderboard.csv").stat().st_mtime_ns
    with Output(there.as_uri()).held(Console()):
        (there / "leaderboard.csv").write_text("a driver's own")
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "other"))
    (there / "driver.json").write_text("{}")
    assert mer("score", there.as_uri()) == 0
    assert (there / "leaderboard.csv").stat().st_mtime_ns > before
    assert (there / "leaderboard.csv").read_text() == "a driver's own", "what a driver holds, others leave alone"


def test_the_long_form_has_a_line_per_seed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in scored(out, capsys)["rows"] if row["scope"] == "all"]
    assert mer("score", out, "--csv", "--long") == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "method,task,seed,metric_error"
    found = {(one["method"], one["seed"]): float(one["metric_error"]) for one in csv.DictReader(io.StringIO(text))}
    assert found == {
        (row["model"], str(one["seed"])): pytest.approx(1 - one["uf1"], rel=1e-5)
        for row in rows
        for one in row["per_seed"]
    }
    assert mer("score", out, "--long") == 2


@pytest.mark.parametrize(
    "command", ["score OUT", "status OUT", "models majority", "complexity majority", "data list --store STORE"]
)
def test_tables_are_had_as_csv(command: str, out: Path, blob_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    words = [{"OUT": str(out), "STORE": str(blob_store.root)}.get(word, word) for word in command.split()]
    capsys.readouterr()
    assert mer(*words, "--csv") == 0
    header, *rest = csv.reader(io.StringIO(capsys.readouterr().out))
    assert rest
    assert all(len(row) == len(header) for row in rest)
    assert header[0] in ("model", "done", "dataset")


def test_csv_keeps_foreign_text_and_rounds_alike() -> None:
    text = csv_text([{"a": 'x, "y"\n', "b": 1 / 3, "c": None, "d": True}, {"a": "é", "b": 1e-9, "c": 2, "d": False}])
    assert text == 'a,b,c,d\n"x, ""y""\n",0.333333,,true\né,1e-09,2,false\n'
    assert csv_text([]) == ""


@pytest.mark.parametrize(
    "changes",
    [
        ["models=[chance, ststnet]", "datasets=all"],
        [
            "models=[majority, ststnet]",
            "recipes.all={epochs: 3}",
            "search={configurations: 2, groups: 2, divisions: 2}",
        ],
        ["datasets=[{name: u, union: [one, two]}]", "models=[chance]", "protocol=lodo"],
    ],
)
def test_the_experiment_is_spelled_out_so_that_it_can_be_run_again(tmp_path: Path, changes: list[str]) -> None:
    store = Store(tmp_path / "store")
    for name, dataset in (("one", "casme2"), ("two", "samm")):
        write_blobs(store, name, [clip for clip in blob_clips(12, 4) if clip.dataset == dataset])
    (tmp_path / "e.yaml").write_text(f"name: e\nstore: {store.root}\ndatasets: [one]\nmodels: [majority]\n")
    resolved = resolve(load(str(tmp_path / "e.yaml"), changes), store)
    (tmp_path / "again.yaml").write_text(resolved.spelled_out)
    again = resolve(load(str(tmp_path / "again.yaml")), store)
    assert again.spelled_out == resolved.spelled_out
    plans = [make_plan(one) for one in (resolved, again)]
    assert plans[0].jobs == plans[1].jobs
    assert [study.name for study in plans[0].studies] == [study.name for study in plans[1].studies]
    for word in ("seeds:", "device: auto", "retries: 0", "fold_minutes: null", "keep_every:", "weights: false"):
        assert word in resolved.spelled_out
    assert "\n  name: all" not in resolved.spelled_out


def test_what_is_said_is_kept_in_a_file(tmp_path: Path) -> None:
    console, path = Console(json=True), tmp_path / "run.log"
    console.say("before there was a file")
    with console.logged(path):
        console.warn("look here")
        console.table("title", ("a", "b"), [("x", "1")])
        console.note("below it")
    with pytest.raises(KeyboardInterrupt), Console(json=True).logged(path):
        raise KeyboardInterrupt
    text = path.read_text()
    order = ["before there was a file", "warning: look here", "title", "below it", "===", "ended by KeyboardInterrupt"]
    places = [text.index(word, 1) for word in order]
    assert places == sorted(places)
    assert "\x1b" not in text


def test_cells_know_where_each_clip_was_held_out(blob_store: Store, tmp_path: Path) -> None:
    plan = filled(blob_store, tmp_path / "hde", protocol="hde")
    for cell in score_cells(plan, Ledger(tmp_path / "hde/ledger"), partial=False):
        for names, runs in zip(cell.held_out, cell.run, strict=True):
            assert [cell.runs[run] for run in runs] == list(names)
        assert np.array_equal(cell.trained.sum((1, 2)) > 0, [True, True])
