"""`mer merge`: what belongs together becomes one, and what does not is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from altered import contents
from blobs import blob_clips, write_blobs
from simulated import Stopped, learner, simulate
from trained import plan_for, train

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.console import Console
from orchestrator.experiment.plan import Job, Plan
from orchestrator.report.capsules import make_capsule
from orchestrator.report.merging import merge_capsules
from orchestrator.report.verification import verify_capsule
from orchestrator.sweep.dispatcher import Dispatcher

pytestmark = pytest.mark.usefixtures("quick_disk")


def made(plan: Plan, folder: Path, jobs: list[Job] | None = None, every: int = 1) -> Path:
    """A capsule of some of a plan's jobs, or of all."""
    train(plan, folder, jobs)
    to = folder.with_suffix(".mer")
    make_capsule(str(folder), to, Console(), every=every, partial=jobs is not None)
    return to


def rows(path: Path) -> object:
    return json.loads(contents(path)["score.json"])["rows"]


def test_seeds_models_and_folds_are_joined(small_store: Store, listed: Path, tmp_path: Path) -> None:
    plans = [
        plan_for(small_store, seeds=[0], models=["ststnet"]),
        plan_for(small_store, seeds=[0], models=["majority"], recipes={}),
    ]
    half = plan_for(small_store, seeds=[1])
    parts = [made(plan, tmp_path / str(number)) for number, plan in enumerate(plans)]
    parts.append(made(half, tmp_path / "some", list(half.jobs[:8])))
    parts.append(made(half, tmp_path / "more", list(half.jobs[5:])))
    assert not json.loads(contents(parts[3])["score.json"])["complete"]
    merge_capsules(parts, tmp_path / "all.mer")
    found = verify_capsule(tmp_path / "all.mer")
    assert (found.jobs, found.problems, found.remarks) == (24, (), ())
    assert rows(tmp_path / "all.mer") == rows(listed)


def test_a_capsule_joined_with_itself_is_itself(searched: Path, tmp_path: Path) -> None:
    merge_capsules([searched, searched], tmp_path / "same.mer")
    assert contents(tmp_path / "same.mer") == contents(searched)


def test_a_search_that_went_on_takes_the_place_of_what_it_was(
    searched: Path, searched_out: Path, tmp_path: Path
) -> None:
    plan = Plan.load(searched_out / "plan.json")
    with pytest.raises(Stopped):
        simulate(plan, tmp_path / "early", stop=20)
    plan.save(tmp_path / "early" / "plan.json")
    make_capsule(str(tmp_path / "early"), tmp_path / "early.mer", Console(), every=1, partial=True)
    (unfinished, *_) = verify_capsule(tmp_path / "early.mer").remarks
    assert unfinished.endswith("searches are not finished, so they were not gone through")
    merge_capsules([tmp_path / "early.mer", searched], tmp_path / "all.mer")
    assert contents(tmp_path / "all.mer") == contents(searched)


def test_what_differs_is_told_and_nothing_is_written(small_store: Store, listed: Path, tmp_path: Path) -> None:
    unlike = {
        "protocol": ({"protocol": "lodo"}, "has the protocol lodo, "),
        "recipe": ({"recipes": {"ststnet": {"epochs": 5}}}, "has ststnet with epochs=5, "),
    }
    for name, (changes, what) in unlike.items():
        other = made(plan_for(small_store, **changes), tmp_path / name)
        with pytest.raises(BadInput) as caught:
            merge_capsules([listed, other], tmp_path / "all.mer")
        assert f"{other}: {what}" in str(caught.value)
        assert not (tmp_path / "all.mer").exists()


def test_unlike_lists_rules_and_epochs(
    small_store: Store, listed: Path, searched: Path, tmp_path: Path, listed_out: Path
) -> None:
    with pytest.raises(BadInput) as caught:
        merge_capsules([listed, searched], tmp_path / "all.mer")
    first, *others = str(caught.value).splitlines()
    assert first == f"{searched}: has the selection rule inner, {listed} last (they stay two capsules)"
    assert any("has on blobs another clip list (60 clips and 24, " in line for line in others)
    make_capsule(str(listed_out), tmp_path / "thin.mer", Console(), every=2, partial=False)
    with pytest.raises(BadInput, match=r"keeps every n-th epoch, n = 2, .* 1"):
        merge_capsules([listed, tmp_path / "thin.mer"], tmp_path / "all.mer")


def test_the_same_job_with_other_results(small_store: Store, listed: Path, tmp_path: Path) -> None:
    plan, out = plan_for(small_store, seeds=[1]), tmp_path / "other"
    plan.save(out / "plan.json")
    dispatcher = Dispatcher(plan, out / "ledger")
    for job in plan.jobs:
        said = learner(plan, job)
        dispatcher.commit(job.id, Outcome(said.epochs, said.logits * 2), 1.0, "cpu", {})
    make_capsule(str(out), tmp_path / "other.mer", Console(), every=1, partial=False)
    with pytest.raises(BadInput, match=r"ledger/\w+\.arrow: 12 jobs have other results"):
        merge_capsules([listed, tmp_path / "other.mer"], tmp_path / "all.mer")


def test_clips_of_other_classes(listed: Path, tmp_path: Path) -> None:
    clips = blob_clips()
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", [replace(clips[0], emotion="surprise"), *clips[1:]])
    other = made(plan_for(store), tmp_path / "other")
    with pytest.raises(BadInput, match="has on blobs other classes of 1 clips, first casme2/sub00/clip0, than "):
        merge_capsules([listed, other], tmp_path / "all.mer")


def test_one_capsule_is_not_enough(listed: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="one capsule has nothing to be joined with"):
        merge_capsules([listed], tmp_path / "all.mer")
