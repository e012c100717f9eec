"""What a search varies: spaces are checked, and their values are those that a recipe holds."""

import pytest
from simulated import experiment, plan_of

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Range
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve


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
    with pytest.raises(BadInput, match=told):
        resolve(experiment(space=space), store)


def test_values_of_a_space_are_those_of_the_recipe(store: Store) -> None:
    """YAML reads 1e-4 as a text, and 8.0 is no number of clips."""
    plan = plan_of(store, space={"ststnet": {"lr": ["1e-4", "1e-3"], "batch_size": {"low": 8.0, "high": 32.0}}})
    assert plan.studies[0].space == {"lr": (1e-4, 1e-3), "batch_size": Range(8, 32)}
    assert isinstance(plan.studies[0].space["batch_size"].low, int)


def test_models_without_anything_to_choose_are_not_searched(store: Store) -> None:
    models = {"models": ["chance", "majority", "ststnet"]}
    plan = make_plan(
        resolve(Experiment.model_validate({**experiment().model_dump(exclude_unset=True), **models}), store)
    )
    searched = {(study.model, study.search.configurations) for study in plan.studies}
    assert searched == {("chance", 1), ("ststnet", 8)}
    assert {job.model for job in plan.jobs} == {"majority"}
