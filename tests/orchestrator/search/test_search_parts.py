"""What searches are made of: divisions, spaces, races, corrected scores."""

from pathlib import Path

import numpy as np
import pytest
from blobs import blob_clips
from simulated import experiment

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Range, Recipe
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.inner_split import validation
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.score.bias_correction import corrected
from orchestrator.score.metrics import uf1
from orchestrator.score.validation import ValidationScore
from orchestrator.search.racing import race_order

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")


def test_confidence_counts_classes_alike() -> None:
    """Answering the frequent class with certainty is worth no more than its share of the classes."""
    true = np.array([0, 0, 0, 0, 1, 2])
    constant = np.zeros((1, 6, 3), np.float32)
    constant[..., 0] = 20
    assert ValidationScore.of((1,), constant, true, 0.0).confidence == pytest.approx(1 / 3, abs=1e-6)


def test_validation_subjects_are_whole_and_of_every_class(store: Store) -> None:
    plan = make_plan(resolve(experiment(), store))
    cohort = plan.datasets["blobs"].cohort
    study = plan.studies[0]
    for held_out, fold in plan.datasets["blobs"].folds.items():
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


def test_early_folds_of_a_race_cover_everybody(store: Store) -> None:
    plan = make_plan(resolve(experiment(), store))
    chosen, cohort = plan.datasets["blobs"].validation[0], plan.datasets["blobs"].cohort
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
        ({"ststnet": {"lr": []}}, "has no values to choose from"),
    ],
)
def test_spaces_are_checked(store: Store, space: dict[str, object], told: str) -> None:
    chosen = experiment(space=space)
    with pytest.raises(BadInput, match=told):
        resolve(chosen, store)


def test_values_of_a_space_are_those_of_the_recipe(store: Store) -> None:
    """YAML reads 1e-4 as a text, and 8.0 is no number of clips."""
    space = {"ststnet": {"lr": ["1e-4", "1e-3"], "batch_size": {"low": 8.0, "high": 32.0}}}
    plan = make_plan(resolve(experiment(space=space), store))
    assert plan.studies[0].space == {"lr": (1e-4, 1e-3), "batch_size": Range(8, 32)}
    assert isinstance(plan.studies[0].space["batch_size"].low, int)


def test_models_without_anything_to_choose_are_not_searched(store: Store) -> None:
    chosen = replace_models(experiment(), ["chance", "majority", "ststnet"])
    plan = make_plan(resolve(chosen, store))
    assert [(study.model, study.search.configurations) for study in plan.studies] == [("chance", 1), ("ststnet", 8)]
    assert {job.model for job in plan.jobs} == {"majority"}


def replace_models(one: Experiment, models: list[str]) -> Experiment:
    return Experiment.model_validate({**one.model_dump(exclude_unset=True), "models": models})


def test_a_plan_with_studies_survives_its_file(store: Store, tmp_path: Path) -> None:
    plan = make_plan(resolve(experiment(), store))
    plan.save(tmp_path / "plan.json")
    again = Plan.load(tmp_path / "plan.json")
    assert again == plan
    recipe = Recipe(epochs=4)
    assert again.search_job(again.studies[0], recipe, "samm/001") == plan.search_job(
        plan.studies[0], recipe, "samm/001"
    )
