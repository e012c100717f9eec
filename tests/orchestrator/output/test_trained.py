"""What is known of a search's jobs: read from the ledger once, and never believed when it is no longer true."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from simulated import histories, learner, plan_of, plan_where, simulate

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.output.trained import TrainedJobs
from orchestrator.sweep.dispatcher import Dispatcher

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")
SEARCH = {"configurations": 6, "sampler": "random"}


@pytest.fixture
def small(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    return store


@pytest.fixture
def plan(small: Store) -> Plan:
    return plan_of(small, **SEARCH)


def finished(plan: Plan, out: Path) -> None:
    """Run searches, and go through them once more when their files are old enough to be remembered."""
    simulate(plan, out)
    then = time.time() - 60
    for path in (out / "ledger").glob("*.arrow"):
        os.utime(path, (then, then))
    assert simulate(plan, out) == 0


def first_job(plan: Plan) -> Job:
    return plan.search_job(plan.studies[0], plan.studies[0].recipe, 0)


def other(plan: Plan, job: Job) -> Outcome:
    return learner(plan, replace(job, random_state=job.random_state + 1))


def test_a_finished_search_is_gone_through_again_without_reading_its_results(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(plan, tmp_path / "out")
    before = histories(plan, tmp_path / "out")
    read: list[str] = []
    really = Ledger.read

    def counted(self: Ledger, job_id: str) -> FoldResult:
        read.append(job_id)
        return really(self, job_id)

    monkeypatch.setattr(Ledger, "read", counted)
    for path in (tmp_path / "out/search").glob("ststnet*[0-9a-f].json"):
        path.unlink()
    assert simulate(plan, tmp_path / "out") == 0
    assert histories(plan, tmp_path / "out") == before
    assert read == []


def test_what_was_read_too_young_is_remembered_at_the_end(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real folds take longer than these, so most results are old enough when the search ends."""
    now, job = time.time_ns(), first_job(plan)
    dispatcher = Dispatcher(plan, tmp_path / "ledger")
    dispatcher.offer(job)
    dispatcher.commit(job.id, learner(plan, job), 1.0, "cpu", {})
    trained = TrainedJobs(plan, Ledger(tmp_path / "ledger"))
    score = trained.division_score(plan.studies[0], job)
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**10)
    trained.save()
    monkeypatch.setattr(Ledger, "read", lambda self, job_id: pytest.fail("was read"))
    again = TrainedJobs(plan, Ledger(tmp_path / "ledger")).division_score(plan.studies[0], job)
    assert again.epochs == score.epochs
    assert again.counts.tolist() == score.counts.tolist()
    assert again.belief.tolist() == score.belief.tolist()


def test_a_result_that_is_gone_is_told(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        TrainedJobs(plan, Ledger(tmp_path / "ledger")).division_score(plan.studies[0], first_job(plan))


def test_results_that_are_trained_anew_are_read_anew(plan: Plan, tmp_path: Path) -> None:
    finished(plan, tmp_path / "out")
    before = histories(plan, tmp_path / "out")
    for path in (tmp_path / "out/ledger").glob("*.arrow"):
        path.unlink()
    simulate(plan, tmp_path / "out", learn=other)
    simulate(plan, tmp_path / "fresh", learn=other)
    assert histories(plan, tmp_path / "out") == histories(plan, tmp_path / "fresh") != before


def test_a_remembered_score_is_that_of_the_clips_classes(small: Store, plan: Plan, tmp_path: Path) -> None:
    """The classes of the clips that a job validates on are no part of its id, but of its study's name."""
    finished(plan, tmp_path / "out")
    cohort = plan.datasets["blobs"].cohort
    division = plan.datasets["blobs"].divisions[0][plan.studies[0].group][0]
    validating = {cohort.subject_of[clip_id] for clip_id in division.validation_ids}
    relabelled = plan_where(small, validating, **SEARCH)
    assert {study.name for study in plan.studies}.isdisjoint(study.name for study in relabelled.studies[:1])


def test_a_damaged_memory_is_no_hindrance(plan: Plan, tmp_path: Path) -> None:
    finished(plan, tmp_path / "out")
    before = histories(plan, tmp_path / "out")
    memories = list((tmp_path / "out/search").glob("*.scores.json"))
    assert len(memories) == len(plan.studies)
    for memory in memories:
        memory.write_bytes(memory.read_bytes()[:1000])
    assert simulate(plan, tmp_path / "out") == 0
    assert histories(plan, tmp_path / "out") == before
