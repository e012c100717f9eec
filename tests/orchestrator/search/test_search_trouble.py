"""What fails, ends early or grows in a search."""

from dataclasses import replace
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from simulated import experiment, history, learner, simulate

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory
from orchestrator.report.leaderboard import score_document, status
from orchestrator.report.predictions import score_cells
from orchestrator.search.racing import race_order

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")


def test_a_configuration_that_fails_is_out_and_the_rest_goes_on(store: Store, tmp_path: Path) -> None:
    plan = make_plan(resolve(experiment(), store))

    def fragile(plan: Plan, job: Job) -> Outcome:
        if plan.recipe(job).lr > 0.01 and job.inner:
            raise ArithmeticError("the loss diverged")
        return learner(plan, job)

    simulate(plan, tmp_path, workers=2, learn=fragile)
    found = history(plan, tmp_path)
    for one in found.configurations:
        assert (one.state == "failed") == (one.params["lr"] > 0.01)
        assert ("the loss diverged" in one.reason) == (one.state == "failed")
    assert found.chosen is not None
    assert all(choice.params["lr"] <= 0.01 for choice in found.chosen.values())
    told = status(plan, Ledger(tmp_path / "ledger"))
    assert told["jobs"]["rejected"] == sum(one.state == "failed" for one in found.configurations) > 0
    assert told["jobs"]["failed"] == told["jobs"]["missing"] == 0
    assert {failure["reason"] for failure in told["failures"]} == {"the loss diverged"}


def test_if_every_configuration_fails_the_table_is_not_complete(store: Store, tmp_path: Path) -> None:
    plan = make_plan(resolve(experiment(configurations=2), store))

    def hopeless(plan: Plan, job: Job) -> Outcome:
        raise ArithmeticError("the loss diverged")

    simulate(plan, tmp_path, learn=hopeless)
    assert status(plan, Ledger(tmp_path / "ledger"))["jobs"]["failed"] == 16
    with pytest.raises(BadInput, match="16 of 16 folds are missing"):
        score_cells(plan, Ledger(tmp_path / "ledger"), partial=False)


def test_who_was_worse_than_one_that_failed_goes_on(store: Store, tmp_path: Path) -> None:
    """The first configuration is the rival of the next ones before it is known to fail."""
    plan = make_plan(resolve(experiment(configurations=4, space={"ststnet": {"lr": [1e-4, 1e-3, 3e-3]}}), store))
    order = race_order(plan.datasets["blobs"].validation[0], plan.datasets["blobs"].cohort)

    def best_fails(plan: Plan, job: Job) -> Outcome:
        first = plan.recipe(job).lr == 1e-4
        if first and job.inner and job.held_out == order[12]:
            raise ArithmeticError("the loss diverged")
        return learner(plan, replace(job, recipe=replace(plan.recipe(job), lr=0.01 if first else 1e-5)))

    simulate(plan, tmp_path, workers=2, learn=best_fails)
    found = history(plan, tmp_path)
    assert found.configurations[0].state == "failed"
    assert "complete" in {one.state for one in found.configurations}
    assert found.chosen is not None
    assert set(found.chosen) == set(order)
    assert score_cells(plan, Ledger(tmp_path / "ledger"), partial=False)


def test_a_failure_that_passes_leaves_no_trace(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    plan = make_plan(resolve(experiment(configurations=16, race=False), store))
    simulate(plan, tmp_path / "plain")
    victim = history(plan, tmp_path / "plain").configurations[3].params

    def once(plan: Plan, job: Job) -> Outcome:
        if job.inner and plan.recipe(job).lr == victim["lr"]:
            raise ArithmeticError("its worker process was lost")
        return learner(plan, job)

    simulate(plan, tmp_path / "again", learn=once)
    assert history(plan, tmp_path / "again").configurations[3].state == "failed"
    simulate(plan, tmp_path / "again")
    assert history(plan, tmp_path / "again") == history(plan, tmp_path / "plain")


def test_resuming_never_takes_back_what_was_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(resolve(experiment(configurations=4), store))
    simulate(plan, tmp_path)
    before, written = history(plan, tmp_path), []
    monkeypatch.setattr(SearchHistory, "save", lambda self, out, study: written.append(self))
    simulate(plan, tmp_path)
    assert written == [before]


def test_a_fold_of_one_seed_may_be_missing(store: Store, tmp_path: Path) -> None:
    chosen = Experiment.model_validate({**experiment(configurations=2).model_dump(exclude_unset=True), "seeds": [0, 1]})
    plan = make_plan(resolve(chosen, store))

    def fails(plan: Plan, job: Job) -> Outcome:
        if not job.inner and job.seed == 1 and job.held_out == "samm/003":
            raise ArithmeticError("the loss diverged")
        return learner(plan, job)

    simulate(plan, tmp_path, learn=fails)
    ledger = Ledger(tmp_path / "ledger")
    document = score_document(plan, ledger, score_cells(plan, ledger, partial=True), "inner")
    assert document["rows"][0]["jobs_done"] == 31
    assert status(plan, ledger)["jobs"]["failed"] == 1


def test_a_choice_by_other_limits_is_not_taken_for_this_ones(store: Store, tmp_path: Path) -> None:
    few, more = (make_plan(resolve(experiment(configurations=count), store)) for count in (2, 4))
    simulate(few, tmp_path)
    assert status(few, Ledger(tmp_path / "ledger"))["jobs"]["missing"] == 0
    assert history(more, tmp_path).chosen is None
    assert status(more, Ledger(tmp_path / "ledger"))["jobs"]["missing"] == 3 * 16


def test_a_budget_ends_the_proposals(store: Store, tmp_path: Path) -> None:
    plan = make_plan(resolve(experiment(configurations=40, race=False, trainings=48), store))
    simulate(plan, tmp_path, workers=3)
    # Enough is known when three are told; those proposed meanwhile are finished.
    assert len(history(plan, tmp_path).configurations) == 3 + plan.studies[0].search.concurrent - 1
    assert status(plan, Ledger(tmp_path / "ledger"))["jobs"]["missing"] == 0


def test_more_configurations_go_on_where_fewer_ended(store: Store, tmp_path: Path) -> None:
    few, more = (make_plan(resolve(experiment(configurations=count), store)) for count in (4, 8))
    simulate(few, tmp_path / "grown")
    simulate(more, tmp_path / "grown")
    simulate(more, tmp_path / "at once")
    assert history(more, tmp_path / "grown") == history(more, tmp_path / "at once")
