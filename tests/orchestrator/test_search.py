"""Searches, with a made-up learner instead of training: what is chosen, by what, and that nothing else matters."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from blobs import blob_clips, write_blobs

from mer_data.problems import BadInput
from mer_data.store import Store
from mer_models.spec import Outcome, Recipe
from orchestrator.choices import choose_models, choose_recipes, choose_spaces
from orchestrator.clerk import Clerk
from orchestrator.config import Experiment
from orchestrator.course import Course
from orchestrator.inner import validation
from orchestrator.leaderboard import score_document, status
from orchestrator.ledger import Ledger
from orchestrator.plan import Job, Plan
from orchestrator.planning import make_plan
from orchestrator.score.metrics import uf1
from orchestrator.score.optimism import corrected
from orchestrator.scored import score_cells
from orchestrator.search import StudyRun, Trained, optuna_storage, race_order

SPACE = {"ststnet": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "batch_size": [16, 32]}}
RECIPE = {"ststnet": {"epochs": 4, "lr": 1e-4, "batch_size": 16}}
Learner = Callable[[Plan, Job], Outcome]


class Stopped(Exception):  # noqa: N818 - a kill, not an error
    pass


def experiment(**search: object) -> Experiment:
    keys = {"configurations": 8, "space": SPACE, **search}
    return Experiment.model_validate(
        {"name": "t", "datasets": ["blobs"], "models": ["ststnet"], "recipes": RECIPE, "search": keys}
    )


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of results are written here, and no power fails."""
    monkeypatch.setattr("mer_data.files._flush", lambda path: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(16, 6))
    return store


def learner(plan: Plan, job: Job) -> Outcome:
    """Answers that are the better the nearer the learning rate is to 0.01, and best after epoch 3."""
    recipe, fold, cohort = plan.recipe(job), plan.fold(job), plan.cohorts[job.dataset]
    true = np.array([cohort.classes.index(cohort.label_of[clip_id]) for clip_id in fold.test_ids])
    epochs = tuple(recipe.kept_epochs())
    skill = np.array([2.5 - abs(np.log10(recipe.lr / 0.01)) - 0.3 * abs(epoch - 3) for epoch in epochs])
    noise = np.random.default_rng(job.random_state).normal(size=(len(epochs), len(true), len(cohort.classes)))
    return Outcome(epochs, (noise + skill[:, None, None] * np.eye(len(cohort.classes))[true]).astype(np.float32))


def simulate(
    plan: Plan, out: Path, workers: int = 1, order: int = 0, stop: int | None = None, learn: Learner = learner
) -> int:
    """Run a plan's studies with so many workers, whose jobs end in a random order; returns how many jobs it trained."""
    ledger = Ledger(out / "ledger")
    clerk, random = Clerk(plan, ledger.root), np.random.default_rng(order)
    trained, storage = Trained(plan, ledger), optuna_storage(out)
    runs = [StudyRun(plan, study, trained, out, storage) for study in plan.studies]
    busy: list[tuple[StudyRun, Job]] = []
    count = 0
    while True:
        while len(busy) < workers:
            taken = next(((run, job) for run in runs if (job := run.take()) is not None), None)
            if taken is None:
                break
            busy.append(taken)
        if not busy:
            assert all(run.left == 0 for run in runs)
            return count
        if count == stop:
            raise Stopped
        run, job = busy.pop(int(random.integers(len(busy))))
        clerk.offer(job)
        try:
            clerk.commit(job.id, learn(plan, job), 1.0, "cpu", {})
            run.finish(job, None)
        except ArithmeticError as error:
            clerk.fail(job.id, str(error))
            run.finish(job, str(error))
        count += 1


def course(plan: Plan, out: Path) -> Course:
    return Course.load(out, plan, plan.studies[0])


def test_workers_order_and_kills_do_not_matter(store: Store, tmp_path: Path) -> None:
    plan = make_plan(experiment(), store)
    simulate(plan, tmp_path / "one")
    simulate(plan, tmp_path / "many", workers=7, order=1)
    for kill in (3, 1, 40, 1, 25, 60):
        try:
            simulate(plan, tmp_path / "killed", workers=3, order=kill, stop=kill)
        except Stopped:
            continue
    simulate(plan, tmp_path / "killed", workers=2)
    assert course(plan, tmp_path / "one") == course(plan, tmp_path / "many") == course(plan, tmp_path / "killed")
    documents = [
        score_document(plan, ledger, score_cells(plan, ledger, partial=False), "inner")
        for ledger in (Ledger(tmp_path / name / "ledger") for name in ("one", "many", "killed"))
    ]
    assert documents[0] == documents[1] == documents[2]
    assert simulate(plan, tmp_path / "killed") == 0


def test_a_search_finds_what_is_good_and_trains_it_again(store: Store, tmp_path: Path) -> None:
    plan = make_plan(experiment(configurations=12), store)
    simulate(plan, tmp_path, workers=2)
    found = course(plan, tmp_path)
    assert found.configurations[0].params == {"lr": 1e-4, "batch_size": 16}, "the published recipe comes first"
    assert found.chosen is not None
    assert set(found.chosen) == set(plan.folds["blobs"])
    learnt = [abs(np.log10(choice.params["lr"] / 0.01)) for choice in found.chosen.values()]
    assert np.median(learnt) < 0.6 < abs(np.log10(1e-4 / 0.01))
    assert np.mean([choice.epoch in (2, 3, 4) for choice in found.chosen.values()]) > 0.8
    for job in found.finals(plan, plan.studies[0]):
        whole = plan.folds["blobs"][job.held_out]
        assert plan.fold(job) == whole
        assert plan.recipe(job).kept_epochs() == [found.chosen[job.held_out].epoch]
    row = score_document(
        plan, Ledger(tmp_path / "ledger"), score_cells(plan, Ledger(tmp_path / "ledger"), partial=False), "inner"
    )["rows"][0]
    assert row["configuration"] == "best of 12"
    assert row["search"]["bbc"]["uf1"] <= row["search"]["naive"]["uf1"]
    assert row["search"]["bbc"]["uf1_interval"][0] < row["uf1"]


def test_answers_for_held_out_clips_decide_nothing(store: Store, tmp_path: Path) -> None:
    plan = make_plan(experiment(), store)

    def poisoned(plan: Plan, job: Job) -> Outcome:
        outcome, fold = learner(plan, job), plan.fold(job)
        tested = [clip_id in plan.folds["blobs"][job.held_out].test_ids for clip_id in fold.test_ids]
        logits = outcome.logits.copy()
        logits[:, tested] = np.random.default_rng(job.random_state).normal(size=logits[:, tested].shape) * 9
        return Outcome(outcome.epochs, logits)

    simulate(plan, tmp_path / "plain")
    simulate(plan, tmp_path / "poisoned", learn=poisoned)
    assert course(plan, tmp_path / "plain") == course(plan, tmp_path / "poisoned")


def test_racing_saves_folds_and_keeps_the_winner(store: Store, tmp_path: Path) -> None:
    chosen = (experiment(configurations=12, sampler="random", race=race) for race in (True, False))
    raced, whole = (make_plan(one, store) for one in chosen)
    fewer, all_folds = simulate(raced, tmp_path / "raced"), simulate(whole, tmp_path / "whole")
    assert all_folds == 12 * 16 + 16
    assert fewer < 0.8 * all_folds
    best = []
    for plan, out in ((raced, tmp_path / "raced"), (whole, tmp_path / "whole")):
        ended = [one for one in course(plan, out).configurations if one.state == "complete"]
        best.append(max(ended, key=lambda one: one.inner_uf1 or 0))
    assert best[0] == best[1]
    counts = status(raced, Ledger(tmp_path / "raced/ledger"))["jobs"]
    assert counts["avoided"] >= all_folds - fewer
    assert counts["missing"] == counts["failed"] == 0


def test_a_configuration_that_fails_is_out_and_the_rest_goes_on(store: Store, tmp_path: Path) -> None:
    plan = make_plan(experiment(), store)

    def fragile(plan: Plan, job: Job) -> Outcome:
        if plan.recipe(job).lr > 0.01 and job.inner:
            raise ArithmeticError("the loss diverged")
        return learner(plan, job)

    simulate(plan, tmp_path, workers=2, learn=fragile)
    found = course(plan, tmp_path)
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
    plan = make_plan(experiment(configurations=2), store)

    def hopeless(plan: Plan, job: Job) -> Outcome:
        raise ArithmeticError("the loss diverged")

    simulate(plan, tmp_path, learn=hopeless)
    assert status(plan, Ledger(tmp_path / "ledger"))["jobs"]["failed"] == 16
    with pytest.raises(BadInput, match="16 of 16 folds are missing"):
        score_cells(plan, Ledger(tmp_path / "ledger"), partial=False)


def test_a_budget_ends_the_proposals(store: Store, tmp_path: Path) -> None:
    plan = make_plan(experiment(configurations=40, race=False, trainings=48), store)
    simulate(plan, tmp_path, workers=3)
    # Enough is known when three are told; those proposed meanwhile are finished.
    assert len(course(plan, tmp_path).configurations) == 3 + plan.studies[0].search.concurrent - 1
    assert status(plan, Ledger(tmp_path / "ledger"))["jobs"]["missing"] == 0


def test_more_configurations_go_on_where_fewer_ended(store: Store, tmp_path: Path) -> None:
    few, more = (make_plan(experiment(configurations=count), store) for count in (4, 8))
    simulate(few, tmp_path / "grown")
    simulate(more, tmp_path / "grown")
    simulate(more, tmp_path / "at once")
    assert course(more, tmp_path / "grown") == course(more, tmp_path / "at once")


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_optuna_agrees_with_the_course(store: Store, tmp_path: Path, sampler: str) -> None:
    plan = make_plan(experiment(sampler=sampler, configurations=5), store)
    simulate(plan, tmp_path)
    loaded = optuna.load_study(study_name=plan.studies[0].name, storage=optuna_storage_of(tmp_path))
    names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    configurations = course(plan, tmp_path).configurations
    assert [(trial.params, trial.state.name) for trial in loaded.trials] == [
        (one.params, names[one.state]) for one in configurations
    ]
    assert [trial.value for trial in loaded.trials if trial.state.name == "COMPLETE"] == [
        one.inner_uf1 for one in configurations if one.state == "complete"
    ]


def optuna_storage_of(out: Path) -> optuna.storages.BaseStorage:
    """As a user's dashboard opens it."""
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / "optuna.log")))


def test_validation_subjects_are_whole_and_of_every_class(store: Store) -> None:
    plan = make_plan(experiment(), store)
    cohort = plan.cohorts["blobs"]
    study = plan.studies[0]
    for held_out, fold in plan.folds["blobs"].items():
        job = plan.search_job(study, study.recipe, held_out)
        inner = plan.fold(job)
        sides = [{cohort.subject_of[clip] for clip in ids} for ids in (inner.train_ids, plan.validates(job))]
        assert not sides[0] & sides[1]
        assert set(inner.train_ids) | set(plan.validates(job)) == set(fold.train_ids)
        assert 0.1 < len(plan.validates(job)) / len(fold.train_ids) < 0.3
        for ids in (inner.train_ids, plan.validates(job)):
            assert {cohort.label_of[clip] for clip in ids} == set(cohort.classes)


def test_one_subject_cannot_be_divided(store: Store) -> None:
    clips = [clip for clip in blob_clips() if clip.subject == "samm/001"]
    with pytest.raises(ValueError, match="one subject cannot be divided"):
        validation(clips, ["negative"] * len(clips), 0)


def test_the_held_out_subjects_classes_do_not_reach_its_jobs(store: Store, tmp_path: Path) -> None:
    plan = make_plan(experiment(), store)
    cohort, study = plan.cohorts["blobs"], plan.studies[0]
    turned = {"negative": "positive", "positive": "surprise", "surprise": "negative"}
    for held_out in list(plan.folds["blobs"])[:4]:
        pairs = zip(cohort.labels, cohort.subjects, strict=True)
        noise = replace(cohort, labels=tuple(turned[label] if who == held_out else label for label, who in pairs))
        other = replace(plan, cohorts={"blobs": noise})
        for make in (Plan.search_job, Plan.final_job):
            jobs = [make(one, study, study.recipe, held_out) for one in (plan, other)]
            assert jobs[0] == jobs[1]
            works = []
            for one in (plan, other):
                clerk = Clerk(one, tmp_path)
                clerk.offer(jobs[0])
                works.append(repr(clerk.take(jobs[0].id)))
            assert works[0] == works[1]


def test_early_folds_of_a_race_cover_everybody(store: Store) -> None:
    plan = make_plan(experiment(), store)
    chosen, cohort = plan.validation["blobs"][0], plan.cohorts["blobs"]
    order = race_order(chosen, cohort)
    assert sorted(order) == sorted(chosen)

    def covered(names: list[str]) -> int:
        return len({clip for name in names for clip in chosen[name]})

    assert covered(order[:5]) > covered(sorted(chosen)[:5])
    assert covered(order[:6]) > 0.75 * len(cohort.clip_ids)


def test_the_corrected_score_of_guesses_is_that_of_guessing() -> None:
    random = np.random.default_rng(0)
    true = np.repeat(np.arange(3), 40)
    subjects = np.arange(120) % 30
    naive, honest = [], []
    for _ in range(8):
        counts = np.zeros((30, 30, 3, 3), np.int64)
        for one in counts:
            np.add.at(one, (subjects, true, random.integers(3, size=120)), 1)
        naive.append(float(uf1(counts.sum(1)).max()))
        honest.append(corrected(counts, np.zeros(30, np.int64), uf1, uf1).value)
    assert np.mean(naive) > 0.40
    assert abs(np.mean(honest) - 1 / 3) < 0.02


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"ststnet": {"lrr": [1]}}, "did you mean 'lr'"),
        ({"ststnet": {"batch_size": [0]}}, "batch_size must be at least 1"),
        ({"ststnet": {"lr": {"low": -1, "high": 1}}}, "lr and step_factor must be positive"),
        ({"ststnett": {"lr": [1]}}, "did you mean 'ststnet'"),
        ({"ststnet": {"optimizer": ["adamw"]}}, "search.space.ststnet.optimizer"),
    ],
)
def test_spaces_are_checked(store: Store, space: dict[str, object], told: str) -> None:
    chosen = experiment(space=space)
    with pytest.raises(BadInput, match=told):
        choose_spaces(chosen, choose_recipes(chosen, choose_models(chosen, store)))


def test_models_without_anything_to_choose_are_not_searched(store: Store) -> None:
    chosen = replace_models(experiment(), ["chance", "majority", "ststnet"])
    plan = make_plan(chosen, store)
    assert [(study.model, study.search.configurations) for study in plan.studies] == [("chance", 1), ("ststnet", 8)]
    assert {job.model for job in plan.jobs} == {"majority"}


def replace_models(one: Experiment, models: list[str]) -> Experiment:
    return Experiment.model_validate({**one.model_dump(exclude_unset=True), "models": models})


def test_a_plan_with_studies_survives_its_file(store: Store, tmp_path: Path) -> None:
    plan = make_plan(experiment(), store)
    plan.save(tmp_path / "plan.json")
    again = Plan.load(tmp_path / "plan.json")
    assert again == plan
    recipe = Recipe(epochs=4)
    assert again.search_job(again.studies[0], recipe, "samm/001") == plan.search_job(
        plan.studies[0], recipe, "samm/001"
    )


def test_guessing_stays_at_chance_unless_an_oracle_chooses(store: Store, tmp_path: Path) -> None:
    """The canary of the habit: many epochs and configurations lift only the rules that look at the test side."""

    def guess(plan: Plan, job: Job) -> Outcome:
        epochs = tuple(plan.recipe(job).kept_epochs())
        draw = np.random.default_rng([job.random_state, round(1e9 * plan.recipe(job).lr), job.inner])
        return Outcome(epochs, draw.normal(size=(len(epochs), len(plan.fold(job).test_ids), 3)).astype(np.float32))

    plan = make_plan(experiment(configurations=10, sampler="random", race=False), store)
    simulate(plan, tmp_path, learn=guess)
    ledger = Ledger(tmp_path / "ledger")
    scored = score_cells(plan, ledger, partial=False)
    scores = {rule: score_document(plan, ledger, scored, rule)["rows"][0] for rule in scored[0].predicted}
    low, high = scores["inner"]["uf1_interval"]
    assert low < 1 / 3 < high
    assert scores["inner"]["uf1"] < 0.45
    assert abs(scores["inner"]["search"]["bbc"]["uf1"] - 1 / 3) < 0.06
    assert scores["oracle-subject"]["uf1"] > 0.6
