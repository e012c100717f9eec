"""Jobs, their ids, and what makes them stale."""

from dataclasses import replace
from pathlib import Path

import pytest
from blobs import SPEC, blob_clips, write_blobs

from mer_data.editions import Edition
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve


def experiment(**changes: object) -> Experiment:
    keys = {"name": "t", "datasets": ["blobs"], "models": ["ststnet", "majority"], **changes}
    return Experiment.model_validate(keys)


def plan(store: Store, **changes: object) -> Plan:
    chosen = experiment(**changes)
    return make_plan(resolve(chosen, store))


def ids(made: Plan, model: str = "ststnet") -> dict[str, str]:
    return {job.held_out: job.id for job in made.jobs if job.model == model}


def test_a_job_per_model_subject_and_seed(blob_store: Store) -> None:
    made = plan(blob_store, seeds=[0, 1])
    assert len(made.jobs) == len(made.job) == 2 * 6 * 2
    assert {job.held_out for job in made.jobs} == set(made.datasets["blobs"].cohort.subjects)
    for job in made.jobs:
        test, train = set(made.fold(job).test_ids), set(made.fold(job).train_ids)
        assert not test & train
        assert len(test | train) == 24
        assert {made.datasets["blobs"].cohort.subject_of[clip] for clip in test} == {job.held_out}


def test_planning_twice_gives_the_same_ids(blob_store: Store) -> None:
    assert plan(blob_store).jobs == plan(blob_store).jobs


def test_a_plan_survives_its_file(blob_store: Store, tmp_path: Path) -> None:
    made = plan(blob_store)
    made.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == made


def test_a_plan_tells_the_editions_of_its_datasets(blob_store: Store, tmp_path: Path) -> None:
    write_blobs(blob_store, "blobs", blob_clips(), edition=Edition("2019", 255, "0123abc"))
    plan(blob_store).save(tmp_path / "plan.json")
    editions = Plan.load(tmp_path / "plan.json").datasets["blobs"].cohort.editions
    assert editions == {"blobs": "edition 2019: 255 rows, content 0123abc"}


@pytest.mark.parametrize("damage", ["", "{", '{"version": 2, "name": 1}'])
def test_a_damaged_plan_is_told(tmp_path: Path, damage: str) -> None:
    (tmp_path / "plan.json").write_text(damage)
    with pytest.raises(BadInput, match=r"plan.json: cannot be read"):
        Plan.load(tmp_path / "plan.json")


def test_a_plan_of_another_version_is_told(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"name": "t", "cohorts": {}}')
    with pytest.raises(BadInput, match=r"written by another version of this program \(run the same experiment again"):
        Plan.load(tmp_path / "plan.json")


def test_the_held_out_subjects_classes_are_no_part_of_its_job(blob_store: Store) -> None:
    """Only the jobs that train on a clip depend on its class."""
    before = ids(plan(blob_store))
    clips = blob_clips()
    changed = [replace(clip, emotion="surprise") if clip.subject == "samm/001" else clip for clip in clips]
    arrays = dict(
        zip(
            [c.id for c in clips], blob_store.feature("blobs", "flow_uvs_28").gather([c.id for c in clips]), strict=True
        )
    )
    with blob_store.replacing("blobs") as writer:
        writer.clips(changed, format_="test", frame_root=None)
        writer.feature(SPEC, arrays, changed, "test")
    after = ids(plan(blob_store))
    assert {subject for subject in before if before[subject] == after[subject]} == {"samm/001"}


def test_a_changed_recipe_makes_only_its_model_stale(blob_store: Store) -> None:
    before, after = plan(blob_store), plan(blob_store, recipes={"ststnet": {"epochs": 3}})
    assert not set(ids(before).values()) & set(ids(after).values())
    assert ids(before, "majority") == ids(after, "majority")
    assert {job.configuration for job in after.jobs} == {"recipe", "epochs=3"}


def test_changed_feature_bytes_make_the_models_that_eat_them_stale(blob_store: Store) -> None:
    before = plan(blob_store)
    write_blobs(blob_store, "blobs", blob_clips(), seed=1)
    after = plan(blob_store)
    assert not set(ids(before).values()) & set(ids(after).values())
    assert ids(before, "majority") == ids(after, "majority")


def test_unknown_names_are_told_together(blob_store: Store) -> None:
    with pytest.raises(BadInput) as caught:
        resolve(experiment(models=["ststnett", "majority", "zzz"]), blob_store)
    message = str(caught.value)
    assert "did you mean 'ststnet'" in message
    assert "unknown model 'zzz'" in message


@pytest.mark.parametrize(
    ("recipes", "told"),
    [
        ({"ststnet": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"ststnet": {"epochs": 0}}, "epochs must be at least 1"),
        ({"ststnet": {"epochs": "many"}}, "recipes.ststnet.epochs"),
        ({"ststnet": {"order": "random"}}, "recipes.ststnet.order"),
        ({"off_apexnet": {"epochs": 3}}, "not among the experiment's models"),
        ({"all": {"epoch": 3}}, "recipes.ststnet.epoch: unknown key"),
    ],
)
def test_recipes_are_checked(blob_store: Store, recipes: dict[str, dict[str, object]], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        resolve(experiment(recipes=recipes), blob_store)


def test_all_models_means_those_that_a_dataset_has_features_for(blob_store: Store) -> None:
    with blob_store.replacing("bare") as writer:
        writer.clips(blob_clips(), format_="test", frame_root=None)
    resolved = resolve(experiment(datasets="all", models="all"), blob_store)
    assert {name: list(dataset.inputs) for name, dataset in resolved.datasets.items()} == {
        "bare": ["chance", "majority"],
        # What eats the maps, can do with them, or eats what can be cut from them.
        "blobs": [
            *("chance", "dual_inception", "htnet", "htnet_fixed"),
            *("majority", "off_apexnet", "ststnet", "ststnet_table"),
        ],
    }


def test_two_datasets_never_share_a_job(blob_store: Store) -> None:
    write_blobs(blob_store, "again", blob_clips())
    assert len(plan(blob_store, datasets="all").job) == 2 * 2 * 6


def test_randomness_is_that_of_model_fold_and_seed(blob_store: Store) -> None:
    """Configurations are compared on the same draws; seeds and folds have draws of their own."""

    def states(**changes: object) -> dict[tuple[str, str, int], int]:
        jobs = plan(blob_store, **changes).jobs
        return {(job.model, job.held_out, job.seed): job.random_state for job in jobs}

    assert states(recipes={"ststnet": {"epochs": 3}}) == states()
    assert len(set(states(seeds=[0, 1]).values())) == 2 * 6 * 2


def test_datasets_and_schemes_are_checked(blob_store: Store) -> None:
    with pytest.raises(BadInput, match="did you mean 'blobs'"):
        plan(blob_store, datasets=["blob"])
    with pytest.raises(BadInput, match=r"unknown class scheme '3-clas'.*for these clips: 3-class"):
        plan(blob_store, datasets=[{"name": "blobs", "classes": "3-clas"}])
    with blob_store.replacing("few") as writer:
        writer.clips([replace(clip, emotion="others") for clip in blob_clips(1, 2)], format_="test", frame_root=None)
    with pytest.raises(BadInput, match="takes 0 of 2 clips"):
        plan(blob_store, datasets=["few"])


@pytest.fixture
def two(tmp_path: Path) -> Store:
    """Two datasets of three subjects each, as from two importers."""
    store = Store(tmp_path / "two")
    for dataset in ("casme2", "samm"):
        write_blobs(store, dataset, [clip for clip in blob_clips() if clip.dataset == dataset])
    return store


UNION = {"name": "both", "union": ["casme2", "samm"]}


def test_a_union_holds_the_clips_of_its_members(two: Store) -> None:
    made = plan(two, datasets=[UNION])
    assert len(made.datasets["both"].cohort.clip_ids) == 24
    assert len(ids(made)) == 6
    assert set(made.datasets["both"].feature_keys["flow_uvs_28"]) == {"casme2", "samm"}


def test_a_changed_member_makes_the_union_stale(two: Store) -> None:
    before = plan(two, datasets=[UNION])
    write_blobs(two, "samm", [clip for clip in blob_clips() if clip.dataset == "samm"], seed=3)
    assert not set(ids(before).values()) & set(ids(plan(two, datasets=[UNION])).values())


def test_a_union_is_checked(two: Store) -> None:
    write_blobs(two, "samm_again", [clip for clip in blob_clips() if clip.dataset == "samm"])
    with pytest.raises(BadInput, match="listed 2 times"):
        plan(two, datasets=[{"name": "both", "union": ["samm", "samm_again"]}])
    with pytest.raises(BadInput, match="did you mean 'samm'"):
        plan(two, datasets=[{"name": "both", "union": ["casme2", "sam"]}])
    with pytest.raises(BadInput, match="none of the 442 clips"):
        plan(two, datasets=[{**UNION, "clip_list": "megc2019"}])


def test_one_change_for_every_network(blob_store: Store) -> None:
    recipes = {"all": {"epochs": 3, "lr": 0.1}, "ststnet": {"epochs": 4}}
    chosen = experiment(models=["ststnet", "ststnet_table", "chance"], recipes=recipes)
    found = resolve(chosen, blob_store).recipes
    assert {name: (recipe.epochs, recipe.lr) for name, recipe in found.items()} == {
        "ststnet": (4, 0.1),
        "ststnet_table": (3, 0.1),
        "chance": (100, 1e-3),
    }


def test_one_and_one_point_zero_are_the_same_setting(blob_store: Store) -> None:
    """Else ids could not be computed anew from a plan's file, in which both are 1.0."""
    resolved = resolve(experiment(), blob_store)
    recipe = replace(resolved.recipes["ststnet"], lr=1.0, momentum=0.0)
    either = [replace(recipe, lr=lr, momentum=momentum) for lr, momentum in ((1.0, 0.0), (1, 0))]
    first, second = (make_plan(replace(resolved, recipes={**resolved.recipes, "ststnet": one})) for one in either)
    assert first == second
    assert ids(first) == ids(second)
