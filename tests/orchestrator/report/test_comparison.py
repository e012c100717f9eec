"""`mer compare` and ties in the leaderboard: what is compared, what is refused, and in which words it is told."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from blobs import blob_clips, write_blobs
from ledgers import commit, knowing, negative, plan_for, right

from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.console import Console
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report.comparison import separable_from_best
from orchestrator.report.critical_difference import Ranks, groups
from orchestrator.report.leaderboard import board, score_document
from orchestrator.report.predictions import score_cells
from orchestrator.report.score_rows import scopes
from orchestrator.report.tables import print_leaderboard
from orchestrator.score import metrics
from orchestrator.score.comparison import detectable, difference, holm, swap_test

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")
SKILL = {"ststnet": 0.9, "off_apexnet": 0.88, "majority": 0.1, "chance": 0.1}


def mer(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


def filled(store: Store, out: Path, skill: dict[str, float] | None = None, **changes: object) -> Plan:
    """An output folder of made-up models, each as good as its skill says."""
    skill = skill or SKILL
    plan = plan_for(store, **{"models": list(skill), **changes})
    plan.save(out / "plan.json")
    commit(plan, Ledger(out / "ledger"), knowing(skill))
    return plan


def compared(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert mer("compare", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert mer("compare", *arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    return told.err


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished folder of four models, 16 subjects and two seeds, for reading; its store is beside it."""
    folder = tmp_path_factory.mktemp("compared")
    write_blobs(Store(folder / "store"), "blobs", blob_clips(16, 6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_data.files._flush", lambda path: None)
        filled(Store(folder / "store"), folder / "out", seeds=[0, 1])
    return folder / "out"


def test_everybody_is_compared_with_the_first_model(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = compared(capsys, out)
    assert (document["reference"], document["metric"], document["family"]) == ("ststnet", "uf1", 3)
    by = {one["model"]: one for one in document["comparisons"]}
    assert set(by) == {"off_apexnet", "majority", "chance"}
    for one in by.values():
        assert one["difference"] == pytest.approx(one["score"] - one["reference_score"])
        assert (one["subjects"], one["seeds"]) == (16, 2)
        assert one["detectable"] == pytest.approx(detectable(one["subject_error"], 14, 3))
    told = document["comparisons"]
    assert [one["p_holm"] for one in told] == holm([one["p"] for one in told], 3)
    assert by["majority"]["p_holm"] > by["majority"]["p"]
    assert by["majority"]["verdict"] == "worse"
    assert by["majority"]["words"] == f"ststnet better than majority by {-by['majority']['difference']:.4f} UF1"
    close = by["off_apexnet"]
    assert close["words"] == (
        "off_apexnet, ststnet: not told apart: with 16 subjects only differences above "
        f"{close['detectable']:.4f} are seen in four of five cases"
    )


def test_the_numbers_are_those_of_the_score(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert mer("score", out, "--json") == 0
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)["rows"] if row["scope"] == "all"}
    for metric in ("uf1", "uar"):
        for one in compared(capsys, out, "--reference", "chance", "--metric", metric)["comparisons"]:
            assert one["score"] == rows[one["model"]][metric]
            assert one["reference_score"] == rows["chance"][metric]


def test_the_table_says_what_was_corrected_for(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert mer("compare", out) == 0
    told = capsys.readouterr()
    assert "3 comparisons" in told.out
    assert "ststnet better than majority by" in told.out
    assert "it needs 6 datasets, here is 1" in told.err
    assert mer("compare", out, "--csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("metric,family,dataset,protocol,model,")
    assert len(lines) == 4


def test_models_of_several_folders_are_compared(
    store: Store, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    filled(store, other, {"ststnet": 0.2}, seeds=[5, 6], recipes={"all": {"epochs": 1, "lr": 0.5}})
    assert "'ststnet' is in several folders" in refused(capsys, out, other)
    document = compared(capsys, out, other, "--reference", f"ststnet @ {out}")
    by = {one["model"]: one for one in document["comparisons"]}
    assert set(by) == {f"ststnet @ {other}", "off_apexnet", "majority", "chance"}
    assert by[f"ststnet @ {other}"]["verdict"] == "worse"


def test_of_a_model_with_more_seeds_the_first_ones_are_compared(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three, two, one = (tmp_path / name for name in ("three", "two", "one"))
    filled(store, three, {"ststnet": 0.7, "off_apexnet": 0.4}, seeds=[4, 0, 7])
    filled(store, two, {"ststnet": 0.7, "off_apexnet": 0.4}, seeds=[4, 0])
    filled(store, one, {"majority": 0.5}, seeds=[5])
    unequal, equal = compared(capsys, three, two, "--reference", f"ststnet @ {three}"), compared(capsys, two)
    by = {told["model"]: told for told in unequal["comparisons"]}
    assert by[f"off_apexnet @ {three}"]["seeds"] == 3
    (cut,) = equal["comparisons"]
    for key in ("seeds", "score", "reference_score", "difference", "interval", "p", "subject_error", "seed_error"):
        assert by[f"off_apexnet @ {two}"][key] == cut[key]
    assert by[f"off_apexnet @ {two}"]["words"].endswith(" (the first 2 seeds of each)")
    assert not by[f"off_apexnet @ {three}"]["words"].endswith("each)")
    (told,) = [
        told
        for told in compared(capsys, one, three, "--reference", "majority")["comparisons"]
        if told["model"] == "ststnet"
    ]
    assert told["words"].endswith(" (the first seed of each)")


def test_what_cannot_be_compared_is_refused(
    store: Store, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(store, tmp_path / "one", {"majority": 0.5})
    assert "one model only, majority" in refused(capsys, tmp_path / "one")
    assert "is given twice" in refused(capsys, out, out)
    filled(store, tmp_path / "lodo", protocol="lodo", seeds=[0, 1])
    assert f"other protocols: lodo in {tmp_path / 'lodo'}, loso in {out}" in refused(capsys, out, tmp_path / "lodo")
    assert "did you mean 'ststnet'" in refused(capsys, out, "--reference", "ststnett")
    clips = blob_clips(16, 6)[:-1]
    write_blobs(store, "blobs", clips)
    filled(store, tmp_path / "shorter", {"majority": 0.5}, seeds=[0, 1])
    assert "other clip lists" in refused(capsys, out, tmp_path / "shorter")
    filled(
        store, tmp_path / "native", {"majority": 0.5}, seeds=[0, 1], datasets=[{"name": "blobs", "classes": "native"}]
    )
    assert "compare results on the same clips only" in refused(capsys, out, tmp_path / "native")
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost/plan.json").write_bytes((out / "plan.json").read_bytes())
    assert "128 of 128 folds are missing" in refused(capsys, tmp_path / "lost")
    assert "plan.json" in refused(capsys, tmp_path)


def test_four_subjects_are_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "few")
    write_blobs(store, "blobs", blob_clips(4))
    filled(store, tmp_path / "out", {"ststnet": 1.0, "majority": 0.0})
    (one,) = compared(capsys, tmp_path / "out")["comparisons"]
    assert (one["p"], one["exact"]) == (1 / 8, True)
    assert one["words"] == "majority, ststnet: too few subjects to tell"


def test_runs_of_hde_are_compared_by_their_mean(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = filled(store, tmp_path / "out", protocol="hde")
    cells = score_cells(plan, Ledger(tmp_path / "out/ledger"), partial=False)
    counts = {cell.cell.model: cell.per_subject("last") for cell in cells}
    assert counts["chance"].shape[:3] == (1, 2, 16)
    strata = scopes(cells[0])["mean"].strata
    found = difference(counts["chance"], counts["ststnet"], strata, metrics.uf1)
    one = next(one for one in compared(capsys, tmp_path / "out")["comparisons"] if one["model"] == "chance")
    assert (one["difference"], one["p"], one["protocol"]) == (found.value, found.p, "hde")


def test_ties_with_the_best_are_marked(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, ledger = Plan.load(out / "plan.json"), Ledger(out / "ledger")
    scored = score_cells(plan, ledger, partial=False)
    document = score_document(plan, ledger, scored, "last")
    marks = {row["model"]: row["separable_from_best"] for row in document["rows"] if row["scope"] == "all"}
    assert marks == {"ststnet": False, "off_apexnet": False, "majority": True, "chance": True}
    assert {row["separable_from_best"] for row in document["rows"] if row["scope"] != "all"} == {None}
    monkeypatch.setenv("COLUMNS", "160")
    lines = board(scored, document)
    print_leaderboard(lines, Console())
    told = capsys.readouterr().out
    best, other = lines[0]["model"], lines[1]["model"]
    marked = [name for name in SKILL if re.search(rf"{name} \[1\] =", told) or re.search(rf"{name} =", told)]
    assert marked == [other]
    assert f"= not separable from the best, {best}" in told
    oracle = score_document(plan, ledger, scored, "oracle-epoch")
    assert {row["separable_from_best"] for row in oracle["rows"]} == {None}


def test_nothing_is_claimed_of_incomplete_or_lonely_rows(store: Store, out: Path, tmp_path: Path) -> None:
    whole = Plan.load(out / "plan.json")
    lost = next(job for job in whole.jobs if job.model == "chance")
    shutil.copytree(out / "ledger", tmp_path / "ledger", ignore=shutil.ignore_patterns(f"{lost.id}*"))
    cells = score_cells(whole, Ledger(tmp_path / "ledger"), partial=True)
    marks = {cell.model: mark for cell, mark in separable_from_best(cells, "last").items()}
    assert marks == {"ststnet": False, "off_apexnet": False, "majority": True, "chance": None}
    plan, ledger = plan_for(store), Ledger(tmp_path / "alone/ledger")
    commit(plan, ledger, right)
    assert list(separable_from_best(score_cells(plan, ledger, partial=False), "last").values()) == [None]


def test_the_family_of_a_table_is_all_its_pairs(store: Store, tmp_path: Path) -> None:
    """The best could have been any of the models. Worse with 7 people, and with nobody better: p is 2 / 128."""

    def answer(plan: Plan, job: Job, clip_id: str) -> str:
        people = sorted(set(plan.datasets["blobs"].cohort.subjects))[:7]
        wrong = job.model != "majority" and job.held_out in people and clip_id.endswith("clip0")
        truth = right(plan, job, clip_id)
        return {"negative": "positive", "positive": "surprise", "surprise": "negative"}[truth] if wrong else truth

    for models, separable in (
        (["majority", "chance"], True),
        (["majority", "chance", "ststnet", "off_apexnet"], False),
    ):
        plan, ledger = plan_for(store, models=models), Ledger(tmp_path / str(len(models)) / "ledger")
        commit(plan, ledger, answer)
        cells = score_cells(plan, ledger, partial=False)
        best, other = (cell.per_subject("last")[0] for cell in cells[:2])
        assert swap_test(other, best, metrics.uf1) == (2 / 128, True)
        marks = separable_from_best(cells, "last")
        assert marks[cells[0].cell] is False
        assert marks[cells[1].cell] is separable


def test_equal_answers_are_not_told_apart(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_for(store, models=["majority", "chance"])
    plan.save(tmp_path / "out/plan.json")
    commit(plan, Ledger(tmp_path / "out/ledger"), negative)
    (one,) = compared(capsys, tmp_path / "out")["comparisons"]
    assert (one["p"], one["difference"], one["words"]) == (1.0, 0.0, "chance, majority: not told apart")


def test_six_datasets_have_a_diagram(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "six")
    names = [f"set{index}" for index in range(6)]
    people = blob_clips(24)
    for index, name in enumerate(names):
        write_blobs(store, name, people[16 * index : 16 * index + 16])
    skill = {"ststnet": 1.0, "majority": 0.0}
    filled(store, tmp_path / "out", skill, datasets=names)
    document = compared(capsys, tmp_path / "out")
    assert (document["family"], len({one["dataset"] for one in document["comparisons"]})) == (6, 6)
    picture = (tmp_path / "out/critical-difference.svg").read_bytes()
    for model in skill:
        assert f"{model}  ".encode() in picture
    assert compared(capsys, tmp_path / "out") == document
    assert (tmp_path / "out/critical-difference.svg").read_bytes() == picture
    write_blobs(store, "set5", people[:16])
    filled(store, tmp_path / "shared", skill, datasets=names)
    capsys.readouterr()
    assert mer("compare", tmp_path / "shared") == 0
    assert "datasets that share no clips" in capsys.readouterr().err


def test_ranks_that_are_close_stand_together() -> None:
    """Demšar's example has overlapping groups: a and c differ, b is told from neither."""
    assert groups(Ranks({"c": 3.2, "a": 1.0, "b": 2.1}, 1.2)) == [["a", "b"], ["b", "c"]]
    assert groups(Ranks({"a": 1.0, "b": 2.1, "c": 2.15}, 1.2)) == [["a", "b", "c"]]
    assert groups(Ranks({"a": 1.0, "b": 3.0}, 1.2)) == []
