"""From ledger to table without training: seeds, scopes, partial tables, failures, conflicts."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blobs import blob_clips, with_cohort, write_blobs
from ledgers import commit, negative, plan_for, right
from states import counts

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from orchestrator.console import Console
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report.leaderboard import board, score_document, status
from orchestrator.report.predictions import score_cells
from orchestrator.report.tables import print_leaderboard, print_scores
from orchestrator.sweep.dispatcher import Dispatcher


def document(plan: Plan, ledger: Ledger, *, partial: bool = False, rule: str = "last") -> dict[str, object]:
    return score_document(plan, ledger, score_cells(plan, ledger, partial=partial), rule)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "out" / "ledger")


def test_a_perfect_answer_scores_one_everywhere(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    rows = document(plan, ledger)["rows"]
    assert [row["scope"] for row in rows] == ["all", "casme2", "samm"]
    assert {row["uf1"] for row in rows} == {row["uar"] for row in rows} == {1.0}
    assert [row["clips"] for row in rows] == [24, 12, 12]
    assert [row["folds"] for row in rows] == [6, 3, 3]


def test_seeds_are_averaged_and_their_spread_is_told(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, seeds=[0, 1])
    of = {seed: tuple(job for job in plan.jobs if job.seed == seed) for seed in (0, 1)}
    commit(plan, ledger, right, of[0])
    commit(plan, ledger, negative, of[1])
    row = document(plan, ledger)["rows"][0]
    assert (row["seeds"], row["clips"], row["folds"], row["jobs_planned"]) == (2, 24, 6, 12)
    assert row["uar"] == pytest.approx((1 + 1 / 3) / 2)
    assert row["uf1_seed_range"] == pytest.approx([2 * row["uf1"] - 1, 1])
    assert row["uf1_seed_sd"] is None, "two seeds have a range; a deviation needs five"
    assert np.sum(row["confusion"]) == 48


def test_runs_of_hde_are_averaged_and_never_pooled(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, protocol="hde")
    assert [job.held_out for job in plan.jobs] == ["samm-to-casme2", "casme2-to-samm"]
    commit(plan, ledger, right, plan.jobs[:1])
    commit(plan, ledger, negative, plan.jobs[1:])
    mean, perfect, constant = document(plan, ledger)["rows"]
    assert [row["scope"] for row in (mean, perfect, constant)] == ["mean", "samm-to-casme2", "casme2-to-samm"]
    assert (perfect["uf1"], perfect["clips"], perfect["folds"]) == (1.0, 12, 1)
    assert constant["uar"] == pytest.approx(1 / 3)
    for metric in ("uf1", "uar"):
        assert mean[metric] == pytest.approx((perfect[metric] + constant[metric]) / 2)
        assert mean[f"{metric}_interval"][0] <= mean[metric] <= mean[f"{metric}_interval"][1]
    assert (mean["clips"], mean["folds"], mean["uf1_fold_mean"]) == (24, 2, None)


def test_a_run_of_hde_that_is_not_done_does_not_count_as_zero(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, protocol="hde", seeds=[0, 1])
    commit(plan, ledger, right, plan.jobs[:3])
    rows = document(plan, ledger, partial=True)["rows"]
    assert [(row["scope"], row["uf1"], row["complete"]) for row in rows] == [
        ("mean", 1.0, False), ("samm-to-casme2", 1.0, False),
    ]  # fmt: skip


def test_a_partial_table_says_what_it_lacks(
    blob_store: Store, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_for(blob_store, seeds=[0, 1])
    commit(plan, ledger, right, plan.jobs[:7])
    with pytest.raises(BadInput, match="5 of 12 folds are missing"):
        document(plan, ledger)
    scored = score_cells(plan, ledger, partial=True)
    table = score_document(plan, ledger, scored, "last")
    assert table["complete"] is False
    assert next((row["jobs_done"], row["jobs_planned"]) for row in table["rows"]) == (7, 12)
    print_leaderboard(board(scored, table), Console())
    printed = capsys.readouterr().out
    assert "NOT COMPLETE" in printed
    assert "majority 7/12" in printed


def test_an_empty_table_says_so(blob_store: Store, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_for(blob_store)
    assert document(plan, ledger, partial=True)["rows"] == []
    print_leaderboard([], Console())
    assert "no fold is done yet" in capsys.readouterr().err


def test_a_scope_that_lacks_a_class_is_told(
    blob_store: Store, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [
        replace(clip, emotion="negative") if clip.dataset == "samm" and clip.emotion == "surprise" else clip
        for clip in blob_clips()
    ]
    write_blobs(blob_store, "blobs", clips)
    plan = plan_for(blob_store)
    commit(plan, ledger, negative)
    table = document(plan, ledger)
    samm = next(row for row in table["rows"] if row["scope"] == "samm")
    assert samm["classes_scored"] == ["negative", "positive"]
    assert samm["uar"] == pytest.approx(1 / 2)
    print_scores(table, Console())
    assert "samm: no clips of surprise" in capsys.readouterr().out


def test_several_datasets_have_a_table_each(
    blob_store: Store, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    write_blobs(blob_store, "more", blob_clips(4))
    plan = plan_for(blob_store, datasets="all")
    commit(plan, ledger, right)
    scored = score_cells(plan, ledger, partial=False)
    lines = board(scored, score_document(plan, ledger, scored, "last"))
    print_leaderboard(lines, Console())
    printed = capsys.readouterr().out
    assert "blobs: 6 subjects" in printed
    assert "more: 4 subjects" in printed


def test_a_second_different_result_is_a_failure_until_both_are_deleted(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    commit(plan, ledger, negative, plan.jobs[:1])
    assert status(plan, ledger)["jobs"] == counts(done=5, failed=1)
    with pytest.raises(BadInput, match=r"two different results.*delete both"):
        document(plan, ledger)
    (ledger.root / f"{plan.jobs[0].id}.arrow").unlink()
    next((ledger.root / "conflicts").iterdir()).unlink()
    commit(plan, ledger, right, plan.jobs[:1])
    assert document(plan, ledger)["complete"] is True


def test_a_job_that_is_done_has_not_failed(blob_store: Store, ledger: Ledger) -> None:
    """A worker that was lost after its result was committed leaves a failure behind that is none."""
    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    ledger.record_failure(plan.jobs[0].id, "the connection was lost")
    assert status(plan, ledger)["jobs"] == counts(done=6)


def test_damaged_results_are_set_aside_to_run_again(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    path = ledger.root / f"{plan.jobs[2].id}.arrow"
    path.write_bytes(path.read_bytes()[:-9])
    assert ledger.drop_damaged() == [plan.jobs[2].id]
    assert status(plan, ledger)["jobs"]["missing"] == 1
    assert (ledger.root / "damaged" / path.name).is_file()


def test_what_a_worker_is_told_does_not_depend_on_the_held_out_classes(blob_store: Store, tmp_path: Path) -> None:
    plan = plan_for(blob_store, models=["ststnet"])
    held_out = plan.jobs[0].held_out
    cohort = plan.datasets["blobs"].cohort
    turned = {"negative": "positive", "positive": "surprise", "surprise": "negative"}
    pairs = zip(cohort.labels, cohort.subjects, strict=True)
    noise = replace(cohort, labels=tuple(turned[label] if who == held_out else label for label, who in pairs))
    other = with_cohort(plan, noise)
    told = [pickle.dumps(Dispatcher(one, tmp_path).take(plan.jobs[0].id)) for one in (plan, other)]
    assert told[0] == told[1]
    assert pickle.dumps(Dispatcher(other, tmp_path).take(plan.jobs[1].id)) != pickle.dumps(
        Dispatcher(plan, tmp_path).take(plan.jobs[1].id)
    )


def test_a_ledger_file_holds_clips_and_logits_only(blob_store: Store, ledger: Ledger) -> None:
    from mer_data.storage.arrow_files import read_table

    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    table = read_table(ledger.root / f"{plan.jobs[0].id}.arrow", "")
    assert table.column_names == ["clip", "array", "checksum"]
    assert not any(
        name.encode() in b"".join(table.schema.metadata.values()) for name in plan.datasets["blobs"].cohort.classes
    )


def test_leaving_datasets_out_is_scored_per_dataset(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, protocol="lodo")
    assert [job.held_out for job in plan.jobs] == ["casme2", "samm"]
    commit(plan, ledger, right)
    rows = document(plan, ledger)["rows"]
    assert [(row["scope"], row["folds"], row["clips"]) for row in rows] == [
        ("all", 2, 24),
        ("casme2", 1, 12),
        ("samm", 1, 12),
    ]
    write_blobs(blob_store, "one", [clip for clip in blob_clips() if clip.dataset == "samm"])
    with pytest.raises(BadInput, match="none can be held out"):
        plan_for(blob_store, protocol="lodo", datasets=["one"])


def test_a_dataset_and_its_variants_are_one_table(
    blob_store: Store, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    scored = score_cells(plan, ledger, partial=False)
    line = board(scored, document(plan, ledger))[0]
    name = line["dataset"]
    lines = [line, {**line, "dataset": f"{name}@jitter-2", "uf1": 0.75}, {**line, "dataset": "another"}]
    print_leaderboard(lines, Console())
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count(f"{name} and its variants") == 1
    assert f"{name} {line['model']} 1.0000" in printed
    assert f"{name}@jitter-2 {line['model']} 0.7500" in printed
    assert printed.count("-0.2500") == 1, "the change against the dataset as it is"
    assert "another: " in printed, "a dataset without variants has its own table"
