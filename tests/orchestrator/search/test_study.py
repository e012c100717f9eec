"""Searches, with a made-up learner instead of training: what is chosen, by what, and that nothing else matters."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from blobs import blob_clips, write_blobs
from simulated import Stopped, histories, learner, plan_of, simulate

from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report.leaderboard import score_document, status
from orchestrator.report.predictions import score_cells
from orchestrator.search.sampler import METRIC
from orchestrator.sweep.dispatcher import Dispatcher

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")


@pytest.fixture
def small(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    return store


def document(plan: Plan, out: Path) -> dict[str, object]:
    ledger = Ledger(out / "ledger")
    return score_document(plan, ledger, score_cells(plan, ledger, partial=False), "inner")


@pytest.mark.parametrize(("sampler", "configurations"), [("tpe", 16), ("gp", 13)])
def test_workers_order_and_kills_do_not_matter(small: Store, tmp_path: Path, sampler: str, configurations: int) -> None:
    """The samplers draw the first ten configurations at random, so there are more."""
    plan = plan_of(small, sampler=sampler, configurations=configurations, groups=2, race=sampler == "tpe")
    simulate(plan, tmp_path / "one")
    simulate(plan, tmp_path / "many", workers=7, order=1)
    for kill in (3, 1, 40, 1, 25):
        try:
            simulate(plan, tmp_path / "killed", workers=3, order=kill, stop=kill)
        except Stopped:
            continue
    simulate(plan, tmp_path / "killed", workers=2)
    names = ("one", "many", "killed")
    first, *others = (histories(plan, tmp_path / name) for name in names)
    assert all(other == first for other in others)
    first_table, *tables = (document(plan, tmp_path / name) for name in names)
    assert all(table == first_table for table in tables)
    assert simulate(plan, tmp_path / "killed") == 0


def test_what_the_sampler_is_told_matters(small: Store, tmp_path: Path) -> None:
    """So that the tests of equal histories compare something that could differ."""
    plan = plan_of(small, configurations=14, groups=2, race=False)

    def other(plan: Plan, job: Job) -> Outcome:
        return learner(plan, replace(job, random_state=job.random_state + 1))

    simulate(plan, tmp_path / "one")
    simulate(plan, tmp_path / "other", learn=other)
    tried = [
        [known.params for known in histories(plan, tmp_path / name)[0].configurations] for name in ("one", "other")
    ]
    assert tried[0][:10] == tried[1][:10]
    assert tried[0] != tried[1]


def test_a_search_finds_what_is_good_and_trains_it_again(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store, configurations=12)
    simulate(plan, tmp_path, workers=2)
    finals = []
    for study, found in zip(plan.studies, histories(plan, tmp_path), strict=True):
        assert found.configurations[0].params == {"lr": 1e-4, "batch_size": 16}, "the published recipe comes first"
        assert found.chosen is not None
        assert abs(np.log10(found.chosen.params["lr"] / 0.01)) < 0.7 < abs(np.log10(1e-4 / 0.01))
        assert found.chosen.epoch in (2, 3, 4)
        for job in found.finals(plan, study):
            finals.append(job.held_out)
            assert plan.fold(job) == plan.datasets["blobs"].folds[job.held_out]
            assert plan.recipe(job).epochs == found.chosen.epoch
    assert sorted(finals) == sorted(plan.datasets["blobs"].folds)
    row = document(plan, tmp_path)["rows"][0]
    assert row["configuration"] == "best of 12"
    assert row["search"]["configurations"]["proposed"] == 4 * 12
    assert row["search"]["groups"] == 4
    assert row["uf1"] > 0.8


def test_a_searchs_jobs_answer_for_nobody_who_is_held_out(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store, configurations=3)
    asked: set[str] = set()

    def noting(plan: Plan, job: Job) -> Outcome:
        if job.division is not None and job.held_out == "group-1":
            asked.update(plan.fold(job).test_ids, plan.fold(job).train_ids)
        return learner(plan, job)

    simulate(plan, tmp_path, learn=noting)
    cohort, hidden = plan.datasets["blobs"].cohort, plan.datasets["blobs"].groups["group-1"]
    assert {cohort.subject_of[clip_id] for clip_id in asked} == set(cohort.subjects) - set(hidden)


def test_racing_saves_trainings_and_keeps_the_winner(store: Store, tmp_path: Path) -> None:
    raced, whole = (
        plan_of(store, configurations=12, sampler="random", divisions=5, race=race) for race in (True, False)
    )
    fewer, everything = simulate(raced, tmp_path / "raced"), simulate(whole, tmp_path / "whole")
    assert everything == 4 * 12 * 5 + 16
    assert fewer < 0.85 * everything
    best = [
        [found.chosen and found.chosen.number for found in histories(plan, tmp_path / name)]
        for plan, name in ((raced, "raced"), (whole, "whole"))
    ]
    assert best[0] == best[1]
    counts = status(raced, Ledger(tmp_path / "raced/ledger"))["jobs"]
    assert counts["avoided"] >= everything - fewer
    assert counts["missing"] == counts["failed"] == 0


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_optuna_agrees_with_the_history(store: Store, tmp_path: Path, sampler: str) -> None:
    plan = plan_of(store, sampler=sampler, configurations=5)
    simulate(plan, tmp_path)
    names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for study, found in zip(plan.studies, histories(plan, tmp_path), strict=True):
        loaded = optuna.load_study(study_name=study.name, storage=optuna_storage_of(tmp_path))
        assert loaded.metric_names == [METRIC]
        assert [(trial.params, trial.state.name) for trial in loaded.trials] == [
            (known.params, names[known.state]) for known in found.configurations
        ]
        for trial, known in zip(loaded.trials, found.configurations, strict=True):
            assert trial.value == known.inner_uf1 or known.state != "complete"
            assert sorted(trial.intermediate_values) == list(range(known.divisions))
            assert trial.intermediate_values[known.divisions - 1] == known.inner_uf1


def optuna_storage_of(out: Path) -> optuna.storages.BaseStorage:
    """As a user's dashboard opens it."""
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / "optuna.log")))


def test_naive_and_corrected_scores_are_of_configurations_that_were_fixed_beforehand(
    store: Store, tmp_path: Path
) -> None:
    """What survived a race, or was proposed for what others had scored, was chosen by the subjects it is scored on."""
    told = {}
    for name, search in {
        "fixed": {"sampler": "random", "configurations": 12, "race": False},
        "few": {"sampler": "tpe", "configurations": 6, "race": False},
        "raced": {"sampler": "random", "configurations": 12},
        "proposed": {"sampler": "tpe", "configurations": 12, "race": False},
    }.items():
        plan = plan_of(store, **search)
        simulate(plan, tmp_path / name)
        told[name] = document(plan, tmp_path / name)["rows"][0]["search"]
    for name in ("fixed", "few"):
        assert told[name]["unavailable"] == ""
        assert told[name]["naive"]["uf1"] > 0.7
        assert told[name]["bbc"]["uf1"] <= told[name]["naive"]["uf1"] + 0.02
    assert told["raced"]["naive"] is told["raced"]["bbc"] is told["proposed"]["naive"] is None
    assert told["raced"]["unavailable"].endswith("`race: false`")
    assert told["proposed"]["unavailable"].endswith("`sampler: random`")


def test_an_oracle_of_a_searched_model_bounds_its_result(store: Store, tmp_path: Path) -> None:
    """It chooses among the epochs of the trainings that make the result, whose last one the result is."""
    plan = plan_of(store, configurations=4)
    simulate(plan, tmp_path)
    ledger = Ledger(tmp_path / "ledger")
    (cell,) = score_cells(plan, ledger, partial=False)
    assert cell.several_epochs
    scores = {rule: score_document(plan, ledger, [cell], rule)["rows"][0] for rule in cell.predicted}
    assert scores["oracle-epoch"]["uf1"] >= scores["inner"]["uf1"]
    assert scores["oracle-subject"]["accuracy"] >= scores["inner"]["accuracy"]


def test_weights_are_kept_of_what_is_chosen_and_of_nothing_that_was_only_tried(store: Store, tmp_path: Path) -> None:
    plan = replace(plan_of(store, configurations=3), weights=True)

    def with_state(plan: Plan, job: Job) -> Outcome:
        return replace(learner(plan, job), state={"weight": np.zeros(3, np.float32)})

    assert simulate(plan, tmp_path, learn=with_state) > 30
    finals = [job for study, history in zip(plan.studies, histories(plan, tmp_path), strict=True)
              for job in history.finals(plan, study)]  # fmt: skip
    kept = {path.name.split(".")[-2] for path in (tmp_path / "weights").rglob("*.safetensors")}
    assert kept == {job.id for job in finals}
    dispatcher = Dispatcher(plan, tmp_path / "other")
    for job in (plan.search_job(plan.studies[0], plan.studies[0].recipe, 0), finals[0]):
        dispatcher.offer(job)
        work = dispatcher.take(job.id)
        assert work is not None
        assert work.keep_weights == (job.division is None), "a worker copies weights only where they are kept"
