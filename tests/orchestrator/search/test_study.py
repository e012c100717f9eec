"""Searches, with a made-up learner instead of training: what is chosen, by what, and that nothing else matters."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from blobs import blob_clips, with_cohort, write_blobs
from simulated import Stopped, experiment, history, learner, simulate

from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import final_jobs
from orchestrator.report.leaderboard import score_document, status
from orchestrator.report.predictions import score_cells
from orchestrator.sweep.dispatcher import Dispatcher

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")


@pytest.mark.parametrize(("sampler", "configurations"), [("tpe", 16), ("gp", 13)])
def test_workers_order_and_kills_do_not_matter(tmp_path: Path, sampler: str, configurations: int) -> None:
    """The samplers draw the first ten configurations at random, so there are more."""
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    plan = make_plan(resolve(experiment(sampler=sampler, configurations=configurations, race=sampler == "tpe"), store))
    simulate(plan, tmp_path / "one")
    simulate(plan, tmp_path / "many", workers=7, order=1)
    for kill in (3, 1, 40, 1, 25):
        try:
            simulate(plan, tmp_path / "killed", workers=3, order=kill, stop=kill)
        except Stopped:
            continue
    simulate(plan, tmp_path / "killed", workers=2)
    assert history(plan, tmp_path / "one") == history(plan, tmp_path / "many") == history(plan, tmp_path / "killed")
    documents = [
        score_document(plan, ledger, score_cells(plan, ledger, partial=False), "inner")
        for ledger in (Ledger(tmp_path / name / "ledger") for name in ("one", "many", "killed"))
    ]
    assert documents[0] == documents[1] == documents[2]
    assert simulate(plan, tmp_path / "killed") == 0


def test_what_the_sampler_is_told_matters(tmp_path: Path) -> None:
    """So that the tests of equal histories compare something that could differ."""
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    plan = make_plan(resolve(experiment(configurations=14, race=False), store))

    def other(plan: Plan, job: Job) -> Outcome:
        return learner(plan, replace(job, random_state=job.random_state + 1))

    simulate(plan, tmp_path / "one")
    simulate(plan, tmp_path / "other", learn=other)
    params = [[one.params for one in history(plan, tmp_path / name).configurations] for name in ("one", "other")]
    assert params[0][:10] == params[1][:10]
    assert params[0] != params[1]


def test_a_search_finds_what_is_good_and_trains_it_again(store: Store, tmp_path: Path) -> None:
    plan = make_plan(resolve(experiment(configurations=12), store))
    simulate(plan, tmp_path, workers=2)
    found = history(plan, tmp_path)
    assert found.configurations[0].params == {"lr": 1e-4, "batch_size": 16}, "the published recipe comes first"
    assert found.chosen is not None
    assert set(found.chosen) == set(plan.datasets["blobs"].folds)
    learnt = [abs(np.log10(choice.params["lr"] / 0.01)) for choice in found.chosen.values()]
    assert np.median(learnt) < 0.6 < abs(np.log10(1e-4 / 0.01))
    assert np.mean([choice.epoch in (2, 3, 4) for choice in found.chosen.values()]) > 0.8
    for job in found.finals(plan, plan.studies[0]):
        whole = plan.datasets["blobs"].folds[job.held_out]
        assert plan.fold(job) == whole
        assert plan.recipe(job).kept_epochs() == [found.chosen[job.held_out].epoch]
    row = score_document(
        plan, Ledger(tmp_path / "ledger"), score_cells(plan, Ledger(tmp_path / "ledger"), partial=False), "inner"
    )["rows"][0]
    assert row["configuration"] == "best of 12"
    assert row["search"]["configurations"]["proposed"] == 12
    assert row["uf1"] > 0.8


def test_answers_for_held_out_clips_decide_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(7, 6))
    plan = make_plan(resolve(experiment(configurations=14), store))

    def poisoned(plan: Plan, job: Job) -> Outcome:
        outcome, fold = learner(plan, job), plan.fold(job)
        tested = [clip_id in plan.datasets["blobs"].folds[job.held_out].test_ids for clip_id in fold.test_ids]
        logits = outcome.logits.copy()
        logits[:, tested] = np.random.default_rng(job.random_state).normal(size=logits[:, tested].shape) * 9
        return Outcome(outcome.epochs, logits)

    simulate(plan, tmp_path / "plain")
    simulate(plan, tmp_path / "poisoned", learn=poisoned)
    assert history(plan, tmp_path / "plain") == history(plan, tmp_path / "poisoned")


def test_the_held_out_subjects_classes_do_not_decide_for_it(store: Store, tmp_path: Path) -> None:
    """With nothing shared between folds, noise in a subject's classes changes nothing of what is trained for it."""
    plan = make_plan(resolve(experiment(configurations=6, sampler="random", race=False), store))
    simulate(plan, tmp_path / "plain")
    cohort, study = plan.datasets["blobs"].cohort, plan.studies[0]
    turned = {"negative": "positive", "positive": "surprise", "surprise": "negative"}
    differ = 0
    for held_out in ("casme2/sub00", "samm/003"):
        pairs = zip(cohort.labels, cohort.subjects, strict=True)
        labels = tuple(turned[label] if who == held_out else label for label, who in pairs)
        other = with_cohort(plan, replace(cohort, labels=labels))
        out = tmp_path / held_out.replace("/", "-")
        # The learner answers by the true classes; that a held-out subject's classes are others must not show.
        simulate(other, out, learn=lambda _, job: learner(plan, job))
        before, after = history(plan, tmp_path / "plain").chosen, history(other, out).chosen
        assert before is not None
        assert after is not None
        assert before[held_out] == after[held_out]
        finals = [{job.held_out: job.id for job in final_jobs(one, study, before)} for one in (plan, other)]
        assert finals[0][held_out] == finals[1][held_out]
        differ += sum(before[name] != after[name] for name in before)
    assert differ, "as a training subject elsewhere it counts"


def test_racing_saves_folds_and_keeps_the_winner(store: Store, tmp_path: Path) -> None:
    chosen = (experiment(configurations=12, sampler="random", race=race) for race in (True, False))
    raced, whole = (make_plan(resolve(one, store)) for one in chosen)
    fewer, all_folds = simulate(raced, tmp_path / "raced"), simulate(whole, tmp_path / "whole")
    assert all_folds == 12 * 16 + 16
    assert fewer < 0.8 * all_folds
    best = []
    for plan, out in ((raced, tmp_path / "raced"), (whole, tmp_path / "whole")):
        ended = [one for one in history(plan, out).configurations if one.state == "complete"]
        best.append(max(ended, key=lambda one: one.inner_uf1 or 0))
    assert best[0] == best[1]
    counts = status(raced, Ledger(tmp_path / "raced/ledger"))["jobs"]
    assert counts["avoided"] >= all_folds - fewer
    assert counts["missing"] == counts["failed"] == 0


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_optuna_agrees_with_the_course(store: Store, tmp_path: Path, sampler: str) -> None:
    plan = make_plan(resolve(experiment(sampler=sampler, configurations=5), store))
    simulate(plan, tmp_path)
    loaded = optuna.load_study(study_name=plan.studies[0].name, storage=optuna_storage_of(tmp_path))
    names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    configurations = history(plan, tmp_path).configurations
    assert [(trial.params, trial.state.name) for trial in loaded.trials] == [
        (one.params, names[one.state]) for one in configurations
    ]
    assert [trial.value for trial in loaded.trials if trial.state.name == "COMPLETE"] == [
        one.inner_uf1 for one in configurations if one.state == "complete"
    ]
    for trial, one in zip(loaded.trials, configurations, strict=True):
        assert sorted(trial.intermediate_values) == list(range(one.folds))
        assert trial.intermediate_values[one.folds - 1] == one.inner_uf1


def optuna_storage_of(out: Path) -> optuna.storages.BaseStorage:
    """As a user's dashboard opens it."""
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / "optuna.log")))


def test_the_held_out_subjects_classes_do_not_reach_its_jobs(store: Store, tmp_path: Path) -> None:
    plan = make_plan(resolve(experiment(), store))
    cohort, study = plan.datasets["blobs"].cohort, plan.studies[0]
    turned = {"negative": "positive", "positive": "surprise", "surprise": "negative"}
    for held_out in list(plan.datasets["blobs"].folds)[:4]:
        pairs = zip(cohort.labels, cohort.subjects, strict=True)
        noise = replace(cohort, labels=tuple(turned[label] if who == held_out else label for label, who in pairs))
        other = with_cohort(plan, noise)
        for make in (Plan.search_job, Plan.final_job):
            jobs = [make(one, study, study.recipe, held_out) for one in (plan, other)]
            assert jobs[0] == jobs[1]
            works = []
            for one in (plan, other):
                dispatcher = Dispatcher(one, tmp_path)
                dispatcher.offer(jobs[0])
                works.append(repr(dispatcher.take(jobs[0].id)))
            assert works[0] == works[1]


def test_guessing_stays_at_chance_unless_an_oracle_chooses(store: Store, tmp_path: Path) -> None:
    """The canary of the habit: many epochs and configurations lift only the rules that look at the test side."""

    def guess(plan: Plan, job: Job) -> Outcome:
        epochs = tuple(plan.recipe(job).kept_epochs())
        draw = np.random.default_rng([job.random_state, round(1e9 * plan.recipe(job).lr), job.inner])
        return Outcome(epochs, draw.normal(size=(len(epochs), len(plan.fold(job).test_ids), 3)).astype(np.float32))

    plan = make_plan(resolve(experiment(configurations=10, sampler="random", race=False), store))
    simulate(plan, tmp_path, learn=guess)
    ledger = Ledger(tmp_path / "ledger")
    scored = score_cells(plan, ledger, partial=False)
    scores = {rule: score_document(plan, ledger, scored, rule)["rows"][0] for rule in scored[0].predicted}
    low, high = scores["inner"]["uf1_interval"]
    assert low < 1 / 3 < high
    assert scores["inner"]["uf1"] < 0.45
    assert abs(scores["inner"]["search"]["bbc"]["uf1"] - 1 / 3) < 0.06
    assert scores["oracle-subject"]["uf1"] > 0.6
