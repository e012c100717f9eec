"""What a row tells besides its scores: seeds, classes, ensemble, calibration, guessing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blobs import blob_clips, write_blobs
from ledgers import commit, knowing, negative, plan_for, right

from mer_data.storage.store import Store
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report.predictions import score_cells
from orchestrator.report.score_rows import rows


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "out" / "ledger")


def table(plan: Plan, ledger: Ledger, rule: str = "last") -> list[dict[str, Any]]:
    return rows(score_cells(plan, ledger, partial=False), rule)


def of_seed(plan: Plan, *seeds: int) -> tuple[Job, ...]:
    return tuple(job for job in plan.jobs if job.seed in seeds)


def test_each_seed_has_its_scores(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, seeds=[7, 4])
    commit(plan, ledger, right, of_seed(plan, 4))
    commit(plan, ledger, negative, of_seed(plan, 7))
    for row in table(plan, ledger):
        assert [(one["seed"], one["uar"]) for one in row["per_seed"]] == [(4, 1.0), (7, pytest.approx(1 / 3))]
        assert row["uf1"] == pytest.approx(np.mean([one["uf1"] for one in row["per_seed"]]))


def test_each_class_has_its_scores(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store)
    commit(plan, ledger, negative)
    classes = {one["class"]: one for one in table(plan, ledger)[0]["per_class"]}
    assert {name: (one["clips"], one["subjects"]) for name, one in classes.items()} == {
        "negative": (12, 6), "positive": (6, 6), "surprise": (6, 6),
    }  # fmt: skip
    found = classes["negative"]
    assert (found["recall"], found["precision"], found["f1"]) == pytest.approx((1, 1 / 2, 2 / 3))
    assert found["f1_interval"][0] <= found["f1"] <= found["f1_interval"][1]
    assert (classes["positive"]["recall"], classes["positive"]["precision"], classes["positive"]["f1"]) == (0, 0, 0)
    assert {one["warning"] for one in classes.values()} == {None}


def test_a_class_that_one_subject_has_cannot_be_learnt(blob_store: Store, ledger: Ledger) -> None:
    clips = [
        clip if clip.emotion != "surprise" or clip.subject == "samm/001" else replace(clip, emotion="negative")
        for clip in blob_clips()
    ]
    write_blobs(blob_store, "blobs", clips)
    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    everywhere, casme2, samm = table(plan, ledger)
    for row in (everywhere, samm):
        told = {one["class"]: one["warning"] for one in row["per_class"]}
        assert told["negative"] is told["positive"] is None
        assert told["surprise"] == "no training clip shows surprise to a model that is tested on its one subject: " + (
            "it cannot learn it"
        )
    absent = next(one for one in casme2["per_class"] if one["class"] == "surprise")
    assert (absent["clips"], absent["f1"], absent["f1_interval"], absent["warning"]) == (0, None, None, None)


def test_a_class_that_another_source_has_is_learnt_from_it(blob_store: Store, ledger: Ledger) -> None:
    """Held out alone, its subject is the only one of the source; the others of the composite show the class."""
    clips = [
        clip
        if clip.emotion != "surprise" or clip.dataset == "casme2" or clip.subject == "samm/001"
        else replace(clip, emotion="negative")
        for clip in blob_clips()
    ]
    write_blobs(blob_store, "blobs", clips)
    plan = plan_for(blob_store)
    commit(plan, ledger, right)
    assert {one["warning"] for row in table(plan, ledger) for one in row["per_class"]} == {None}
    other = plan_for(blob_store, protocol="lodo")
    commit(other, ledger, right)
    assert {one["warning"] for row in table(other, ledger) for one in row["per_class"]} == {None}


def test_the_ensemble_averages_probabilities_and_takes_no_vote(blob_store: Store, ledger: Ledger) -> None:
    """Two seeds are right and unsure, one is wrong and sure: their mean is wrong, a vote would be right."""
    plan = plan_for(blob_store, models=["ststnet", "majority"], seeds=[0, 1, 2])
    networks = tuple(job for job in plan.jobs if job.model == "ststnet")
    commit(plan, ledger, right, tuple(job for job in networks if job.seed < 2), sureness=0.2)
    commit(plan, ledger, negative, tuple(job for job in networks if job.seed == 2), sureness=9.0)
    commit(plan, ledger, right, tuple(job for job in plan.jobs if job.model == "majority"))
    by = {(row["model"], row["scope"]): row["ensemble"] for row in table(plan, ledger)}
    assert by["ststnet", "all"]["rule"] == "argmax of the mean softmax over seeds"
    assert by["ststnet", "all"]["uar"] == by["ststnet", "samm"]["uar"] == pytest.approx(1 / 3)
    assert by["majority", "all"] is None, "its scores are no probabilities"
    single = plan_for(blob_store, models=["ststnet"])
    assert table(single, ledger)[0]["ensemble"] is None, "one seed is no ensemble"


def test_networks_are_calibrated_and_machines_without_probabilities_are_not(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, models=["ststnet", "majority"])
    commit(plan, ledger, right, sureness=2.0)
    by = {(row["model"], row["scope"]): row["calibration"] for row in table(plan, ledger)}
    sure = np.exp(2) / (np.exp(2) + 2)
    for scope in ("all", "samm"):
        found = by["ststnet", scope]
        assert found["log_loss"] == pytest.approx(-np.log(sure))
        assert found["brier"] == pytest.approx((1 - sure) ** 2 + 2 * ((1 - sure) / 2) ** 2)
        assert found["ece"] == pytest.approx(1 - sure)
        assert by["majority", scope] is None


def test_guessing_is_told_from_knowing(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, models=["ststnet", "majority", "off_apexnet"])
    commit(plan, ledger, knowing({"ststnet": 1.0, "majority": 1.0, "off_apexnet": 0.0}))
    above = {row["model"]: row["above_chance"] for row in table(plan, ledger) if row["scope"] == "all"}
    assert above["ststnet"] == 0
    assert 0.02 < above["off_apexnet"] < 1


def test_oracles_claim_nothing(blob_store: Store, ledger: Ledger) -> None:
    plan = plan_for(blob_store, models=["ststnet"], seeds=[0, 1])
    commit(plan, ledger, right)
    row = table(plan, ledger, "oracle-epoch")[0]
    assert row["above_chance"] is row["calibration"] is row["ensemble"] is None


@pytest.mark.parametrize("protocol", ["lodo", "hde"])
def test_other_protocols_have_the_same_details(blob_store: Store, ledger: Ledger, protocol: str) -> None:
    plan = plan_for(blob_store, models=["ststnet"], seeds=[0, 1], protocol=protocol)
    commit(plan, ledger, right)
    for row in table(plan, ledger):
        assert row["above_chance"] <= 0.01
        assert row["ensemble"]["uf1"] == 1
        assert row["calibration"]["log_loss"] == pytest.approx(-np.log(np.e / (np.e + 2)))
        assert sum(one["clips"] for one in row["per_class"]) == row["clips"]
