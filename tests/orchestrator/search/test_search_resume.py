"""Going through a finished search again: without reading its results, and never by what is no longer true."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from blobs import blob_clips, with_cohort, write_blobs
from simulated import experiment, history, learner, simulate

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.search.study import Trained
from orchestrator.sweep.dispatcher import Dispatcher

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    return make_plan(resolve(experiment(configurations=6, sampler="random"), store))


def finished(plan: Plan, out: Path) -> None:
    """Run a search, and go through it once more when its files are old enough to be remembered."""
    simulate(plan, out)
    then = time.time() - 60
    for path in (out / "ledger").glob("*.arrow"):
        os.utime(path, (then, then))
    assert simulate(plan, out) == 0


def other(plan: Plan, job: Job) -> Outcome:
    return learner(plan, replace(job, random_state=job.random_state + 1))


def test_a_finished_search_is_gone_through_again_without_reading_its_results(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(plan, tmp_path / "out")
    before = history(plan, tmp_path / "out")
    read: list[str] = []
    really = Ledger.read

    def counted(self: Ledger, job_id: str) -> FoldResult:
        read.append(job_id)
        return really(self, job_id)

    monkeypatch.setattr(Ledger, "read", counted)
    next((tmp_path / "out/search").glob("ststnet*.json")).unlink()
    assert simulate(plan, tmp_path / "out") == 0
    assert history(plan, tmp_path / "out") == before
    assert read == []


def test_what_was_read_too_young_is_remembered_at_the_end(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real folds take longer than these, so most results are old enough when the search ends."""
    now = time.time_ns()
    job = plan.search_job(plan.studies[0], plan.studies[0].recipe, "samm/001")
    dispatcher = Dispatcher(plan, tmp_path / "ledger")
    dispatcher.offer(job)
    dispatcher.commit(job.id, learner(plan, job), 1.0, "cpu", {})
    trained = Trained(plan, Ledger(tmp_path / "ledger"))
    score = trained.validation_score(job)
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**10)
    trained.save()
    monkeypatch.setattr(Ledger, "read", lambda self, job_id: pytest.fail("was read"))
    again = Trained(plan, Ledger(tmp_path / "ledger")).validation_score(job)
    assert replace(again, counts=score.counts) == score
    assert again.counts.tolist() == score.counts.tolist()


def test_a_result_that_is_gone_is_told(plan: Plan, tmp_path: Path) -> None:
    job = plan.search_job(plan.studies[0], plan.studies[0].recipe, "samm/001")
    with pytest.raises(BadInput, match="no such file"):
        Trained(plan, Ledger(tmp_path / "ledger")).validation_score(job)


def test_results_that_are_trained_anew_are_read_anew(plan: Plan, tmp_path: Path) -> None:
    finished(plan, tmp_path / "out")
    before = history(plan, tmp_path / "out")
    for path in (tmp_path / "out/ledger").glob("*.arrow"):
        path.unlink()
    simulate(plan, tmp_path / "out", learn=other)
    simulate(plan, tmp_path / "fresh", learn=other)
    assert history(plan, tmp_path / "out") == history(plan, tmp_path / "fresh") != before


def test_a_remembered_score_is_that_of_the_clips_classes(plan: Plan, tmp_path: Path) -> None:
    """The classes of the clips that a job validates on are no part of its id."""
    finished(plan, tmp_path / "out")
    cohort, study, ledger = plan.datasets["blobs"].cohort, plan.studies[0], Ledger(tmp_path / "out/ledger")
    job = plan.search_job(study, study.recipe, "samm/001")
    turned = {"negative": "positive", "positive": "surprise", "surprise": "negative"}
    relabelled = replace(cohort, labels=tuple(turned[label] for label in cohort.labels))
    reordered = replace(cohort, classes=cohort.classes[::-1])
    scores = [
        Trained(with_cohort(plan, one), ledger).validation_score(job).counts.tolist()
        for one in (cohort, relabelled, reordered, cohort)
    ]
    assert scores[0] == scores[3]
    assert scores[0] != scores[1]
    assert scores[0] != scores[2]


def test_a_damaged_memory_is_no_hindrance(plan: Plan, tmp_path: Path) -> None:
    finished(plan, tmp_path / "out")
    before = history(plan, tmp_path / "out")
    (memory,) = (tmp_path / "out/search").glob("*.scores.json")
    memory.write_bytes(memory.read_bytes()[:1000])
    assert simulate(plan, tmp_path / "out") == 0
    assert history(plan, tmp_path / "out") == before
