"""What fails, ends early or grows in a search."""

from dataclasses import replace
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from simulated import experiment, histories, learner, plan_of, simulate

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

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")


def is_search(job: Job) -> bool:
    return job.division is not None


def test_a_configuration_that_fails_is_out_and_the_rest_goes_on(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store)

    def fragile(plan: Plan, job: Job) -> Outcome:
        if plan.recipe(job).lr > 0.01 and is_search(job):
            raise ArithmeticError("the loss diverged")
        return learner(plan, job)

    simulate(plan, tmp_path, workers=2, learn=fragile)
    tried = [known for found in histories(plan, tmp_path) for known in found.configurations]
    for known in tried:
        assert (known.state == "failed") == (known.params["lr"] > 0.01)
        assert known.reason == ("division 1: the loss diverged" if known.state == "failed" else "")
    for found in histories(plan, tmp_path):
        assert found.chosen is not None
        assert found.chosen.params["lr"] <= 0.01
    told = status(plan, Ledger(tmp_path / "ledger"))
    assert told["jobs"]["rejected"] == sum(known.state == "failed" for known in tried) > 0
    assert told["jobs"]["failed"] == told["jobs"]["missing"] == 0
    assert {failure["reason"] for failure in told["failures"]} == {"the loss diverged"}


def test_if_every_configuration_fails_the_table_is_not_complete(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store, configurations=2)

    def hopeless(plan: Plan, job: Job) -> Outcome:
        raise ArithmeticError("the loss diverged")

    simulate(plan, tmp_path, learn=hopeless)
    assert status(plan, Ledger(tmp_path / "ledger"))["jobs"]["failed"] == 16
    with pytest.raises(BadInput, match="16 of 16 folds are missing"):
        score_cells(plan, Ledger(tmp_path / "ledger"), partial=False)


def test_who_was_worse_than_one_that_failed_goes_on(store: Store, tmp_path: Path) -> None:
    """The first configuration is the rival of the next ones before it is known to fail."""
    space = {"ststnet": {"lr": [1e-4, 1e-3, 3e-3]}}
    plan = plan_of(store, configurations=4, divisions=5, space=space)

    def best_fails(plan: Plan, job: Job) -> Outcome:
        first = plan.recipe(job).lr == 1e-4
        if first and job.division == 4:
            raise ArithmeticError("the loss diverged")
        return learner(plan, replace(job, recipe=replace(plan.recipe(job), lr=0.01 if first else 1e-5)))

    simulate(plan, tmp_path, workers=2, learn=best_fails)
    for found in histories(plan, tmp_path):
        assert found.configurations[0].state == "failed"
        assert "complete" in {known.state for known in found.configurations}
        assert found.chosen is not None
    assert score_cells(plan, Ledger(tmp_path / "ledger"), partial=False)


def test_a_failure_that_passes_leaves_no_trace(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    plan = plan_of(store, configurations=16, groups=2, race=False)
    simulate(plan, tmp_path / "plain")
    victim = histories(plan, tmp_path / "plain")[0].configurations[3].params

    def once(plan: Plan, job: Job) -> Outcome:
        if is_search(job) and plan.recipe(job).lr == victim["lr"]:
            raise ArithmeticError("its worker process was lost")
        return learner(plan, job)

    simulate(plan, tmp_path / "again", learn=once)
    assert histories(plan, tmp_path / "again")[0].configurations[3].state == "failed"
    simulate(plan, tmp_path / "again")
    assert histories(plan, tmp_path / "again") == histories(plan, tmp_path / "plain")


def test_resuming_never_takes_back_what_was_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(store, configurations=4)
    simulate(plan, tmp_path)
    before, written = histories(plan, tmp_path), []
    monkeypatch.setattr(SearchHistory, "save", lambda self, out, study: written.append(self))
    simulate(plan, tmp_path)
    assert written == before


def test_a_fold_of_one_seed_may_be_missing(store: Store, tmp_path: Path) -> None:
    chosen = Experiment.model_validate({**experiment(configurations=2).model_dump(exclude_unset=True), "seeds": [0, 1]})
    plan = make_plan(resolve(chosen, store))

    def fails(plan: Plan, job: Job) -> Outcome:
        if not is_search(job) and job.seed == 1 and job.held_out == "samm/003":
            raise ArithmeticError("the loss diverged")
        return learner(plan, job)

    simulate(plan, tmp_path, learn=fails)
    ledger = Ledger(tmp_path / "ledger")
    document = score_document(plan, ledger, score_cells(plan, ledger, partial=True), "inner")
    assert document["rows"][0]["jobs_done"] == 31
    assert status(plan, ledger)["jobs"]["failed"] == 1


def test_a_choice_by_other_limits_is_not_taken_for_this_ones(store: Store, tmp_path: Path) -> None:
    few, more = (plan_of(store, configurations=count) for count in (2, 4))
    simulate(few, tmp_path)
    assert status(few, Ledger(tmp_path / "ledger"))["jobs"]["missing"] == 0
    assert {found.chosen for found in histories(more, tmp_path)} == {None}
    assert status(more, Ledger(tmp_path / "ledger"))["jobs"]["missing"] == 4 * 2 * 3 + 16


def test_a_budget_is_shared_by_the_groups(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store, configurations=40, race=False, trainings=4 * 9)
    simulate(plan, tmp_path)
    for found in histories(plan, tmp_path):
        assert len(found.configurations) == 3 + plan.studies[0].search.concurrent - 1
        assert found.closed


def test_more_configurations_go_on_from_those_that_were_tried(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    few, more = (plan_of(store, configurations=count) for count in (4, 8))
    simulate(few, tmp_path / "grown")
    simulate(more, tmp_path / "grown")
    simulate(more, tmp_path / "at once")
    assert histories(more, tmp_path / "grown") == histories(more, tmp_path / "at once")
