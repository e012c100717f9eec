"""An experiment's variants: named, one thing changed at a time, and recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mer_data.formats import import_dataset
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_data.synthetic import TWINS, make_casme2
from orchestrator.experiment.config import Experiment, load
from orchestrator.experiment.plan import make_job
from orchestrator.experiment.resolve import Resolved, resolve


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("variants")
    store = Store(folder / "store")
    TWINS["samm"](folder / "samm", subjects=3, clips=6, length=(6, 8), raw=True, scale=0.34)
    make_casme2(folder / "casme2", subjects=3, clips=6, length=(6, 8), size=(60, 72))
    import_dataset("samm", [folder / "samm"], store, "samm", landmarks=folder / "samm/landmarks.csv")
    import_dataset("casme2", [folder / "casme2"], store, "casme2")
    return store


def resolved(store: Store, **keys: object) -> Resolved:
    wanted = {"name": "t", "datasets": ["samm"], "models": ["ststnet"], "store": str(store.root), **keys}
    return resolve(Experiment.model_validate(wanted), store)


def members(found: Resolved) -> dict[str, tuple[str, ...]]:
    return {name: of.cohort.members for name, of in found.datasets.items()}


def test_whole_pictures_are_aligned_by_default_and_crops_are_not(store: Store) -> None:
    found = resolved(store, datasets=["samm", "casme2"])
    assert members(found) == {"samm": ("samm@align-similarity",), "casme2": ("casme2",)}
    assert found.datasets["casme2"].told == ()
    assert found.datasets["samm"].told == (
        "samm: whole pictures: faces aligned by similarity, one transform per clip (points of 6 of 6 clips from a "
        "sheet)",
    )
    assert found.datasets["samm"].cohort.prepared == {"samm@align-similarity": "align similarity"}
    assert found.datasets["casme2"].cohort.prepared_in_words == "align none"


def test_members_of_a_union_have_each_their_own(store: Store) -> None:
    found = resolved(store, datasets=[{"name": "both", "union": ["samm", "casme2"]}])
    assert members(found) == {"both": ("samm@align-similarity", "casme2")}
    assert found.datasets["both"].cohort.prepared_in_words == "samm: align similarity; casme2: align none"


def test_an_alignment_is_taken_from_the_dataset_before_the_experiment(store: Store) -> None:
    found = resolved(store, datasets=[{"name": "samm", "align": "box"}, "casme2"], align="stabilised")
    assert members(found) == {"samm": ("samm@align-box",), "casme2": ("casme2@align-stabilised",)}
    assert members(resolved(store, align="none")) == {"samm": ("samm",)}
    assert "NOT aligned" in resolved(store, align="none").datasets["samm"].told[0]


def test_each_value_is_a_variant_with_one_thing_changed(store: Store) -> None:
    found = resolved(
        store,
        align=["similarity", "none"],
        annotation={"apex": ["annotated", "midpoint"], "jitter": [0, 2]},
    )
    assert members(found) == {
        "samm": ("samm@align-similarity",),
        "samm@align-none": ("samm",),
        "samm@apex-midpoint": ("samm@align-similarity+apex-midpoint",),
        "samm@jitter-2": ("samm@align-similarity+jitter-2",),
    }
    assert {of.cohort.clip_ids for of in found.datasets.values()} == {found.datasets["samm"].cohort.clip_ids}
    assert found.datasets["samm@jitter-2"].cohort.prepared_in_words == (
        "align similarity, onset and apex moved by up to 2 frames (seed 0)"
    )


def test_who_takes_part_does_not_depend_on_the_variant(store: Store) -> None:
    """A filter by the source of the apex means the source in the sheet."""
    only = {"name": "samm", "apex": ["annotated"]}
    found = resolved(store, datasets=[only], annotation={"apex": ["annotated", "midpoint"]})
    assert len({of.cohort.clip_ids for of in found.datasets.values()}) == 1


def test_the_spelled_out_experiment_makes_the_same_variants(store: Store, tmp_path: Path) -> None:
    found = resolved(store, datasets=["samm", "casme2"], annotation={"jitter": [0, 5], "seed": 3})
    text = found.spelled_out
    assert yaml.safe_load(text)["datasets"][0]["align"] == ["similarity"]
    (tmp_path / "again.yaml").write_text(text)
    assert members(resolve(load(str(tmp_path / "again.yaml")), store)) == members(found)


def test_a_dataset_given_twice_is_refused(store: Store) -> None:
    twice = [{"name": "samm", "align": "none"}, {"name": "samm", "align": "box"}]
    with pytest.raises(BadInput, match="dataset samm: is in the experiment twice"):
        resolved(store, datasets=twice)


def test_variants_have_ids_of_their_own_and_draws_in_common() -> None:
    """Also a model that eats no feature is another job; its random state is that of the original."""
    one, other = (make_job("loso", "chance", name, "samm/006", 0, "", "r", "f") for name in ("samm", "samm@jitter-2"))
    assert one.id != other.id
    assert one.random_state == other.random_state


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("align=[none,boxes]", "'boxes' is no alignment; known: none, box, similarity, stabilised"),
        ("annotation.apex=[midpoint,spoted]", "'spoted' is not known; known: annotated, midpoint, spotted"),
        ("annotation.jitter=[0,-1]", "annotation.jitter"),
        ("annotation.jitters=2", "unknown key 'jitters' (did you mean"),
        ("jitter=2", "it belongs to the annotation"),
        ("align=[box,box]", "something is given twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, change: str, told: str) -> None:
    (tmp_path / "e.yaml").write_text("name: t\ndatasets: samm\nmodels: ststnet\n")
    with pytest.raises(BadInput) as caught:
        load(str(tmp_path / "e.yaml"), [change])
    assert f"--set {change}" in str(caught.value)
    assert told in str(caught.value)


def test_an_alignment_is_told_once(store: Store) -> None:
    found = resolved(store, annotation={"jitter": [0, 2]})
    told = [line for of in found.datasets.values() for line in of.told]
    assert len([line for line in told if "faces aligned by similarity" in line]) == 1
    assert told[-1] == "samm@jitter-2: align similarity, onset and apex moved by up to 2 frames (seed 0)"
