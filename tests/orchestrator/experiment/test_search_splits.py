"""Whom a search may look at: groups that no class has a part in, divisions that never show a group to its search."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from simulated import composite_clips, experiment, plan_of

from mer_data.problems import BadInput
from mer_data.protocols import Fold, loso
from mer_data.schema import Clip
from mer_data.storage.store import Store
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.experiment.search_splits import Division, check, divide, make_groups, pool, search_splits


def folds_of(clips: list[Clip]) -> dict[str, Fold]:
    return {fold.held_out: fold for fold in loso(clips)}


def test_groups_are_even_in_sources_and_in_clips() -> None:
    clips = composite_clips()
    groups = make_groups(folds_of(clips), clips, 5)
    assert sorted(name for names in groups.values() for name in names) == sorted({clip.subject for clip in clips})
    of = {subject: group for group, names in groups.items() for subject in names}
    sizes = Counter(of[clip.subject] for clip in clips)
    assert max(sizes.values()) - min(sizes.values()) <= 0.1 * len(clips) / 5
    for dataset in ("casme2", "smic", "samm"):
        of_source = Counter(of[clip.subject] for clip in clips if clip.dataset == dataset)
        whole = sum(of_source.values())
        largest = max(Counter(clip.subject for clip in clips if clip.dataset == dataset).values())
        assert max(of_source.values()) <= max(1.1 * whole / 5, largest), dataset


def test_no_class_has_a_part_in_the_groups() -> None:
    clips = composite_clips()
    others = [replace(clip, emotion="surprise") for clip in clips]
    assert make_groups(folds_of(clips), clips, 5) == make_groups(folds_of(others), others, 5)


def test_a_search_sees_all_others_and_nobody_of_its_group() -> None:
    clips = composite_clips()
    folds, subject_of = folds_of(clips), {clip.id: clip.subject for clip in clips}
    groups = make_groups(folds, clips, 5)
    for members in groups.values():
        seen = pool(folds[name] for name in members)
        assert {subject_of[clip_id] for clip_id in seen} == set(folds) - set(members)


def test_each_subject_validates_once_and_classes_are_spread() -> None:
    clips = composite_clips()
    divisions = divide(clips, [clip.emotion for clip in clips], 5, seed=0)
    emotion_of = {clip.id: clip.emotion for clip in clips}
    for division in divisions:
        found = Counter(emotion_of[clip_id] for clip_id in division.validation_ids)
        for emotion, count in Counter(emotion_of.values()).items():
            assert 0.6 * count / 5 < found[emotion] < 1.4 * count / 5
    assert divide(clips, [clip.emotion for clip in clips], 5, seed=1) != divisions
    assert divide(clips, [clip.emotion for clip in clips], 5, seed=0) == divisions


@pytest.mark.parametrize("spoilt", ["seen in training", "seen in validation", "on both sides", "left out"])
def test_what_would_not_be_blind_is_noticed(spoilt: str) -> None:
    clips = blob_clips(6)
    folds = folds_of(clips)
    served = [folds["casme2/sub00"], folds["samm/001"]]
    seen = set(pool(served))
    shown = [clip for clip in clips if clip.id in seen]
    made = list(divide(shown, [clip.emotion for clip in shown], 2, seed=0))
    check(served, made, clips)
    hidden = served[0].test_ids[:1]
    train, validation = made[0].train_ids, made[0].validation_ids
    made[0] = {
        "seen in training": Division(train + hidden, validation),
        "seen in validation": Division(train, validation + hidden),
        "on both sides": Division(train + validation[:1], validation),
        "left out": Division(train, validation[1:]),
    }[spoilt]
    with pytest.raises(AssertionError):
        check(served, made, clips)


def test_a_plan_holds_a_search_for_each_group(store: Store) -> None:
    plan = plan_of(store)
    planned = plan.datasets["blobs"]
    assert [study.group for study in plan.studies] == list(planned.groups) == [f"group-{n}" for n in (1, 2, 3, 4)]
    assert len({study.name for study in plan.studies}) == 4
    for study in plan.studies:
        hidden = set(planned.groups[study.group])
        for number in range(3):
            job = plan.search_job(study, study.recipe, number)
            fold = plan.fold(job)
            sides = [{planned.cohort.subject_of[i] for i in ids} for ids in (fold.train_ids, fold.test_ids)]
            assert not sides[0] & sides[1]
            assert sides[0] | sides[1] == set(planned.folds) - hidden


def test_every_subject_may_be_a_group(store: Store) -> None:
    assert [study.group for study in plan_of(store, groups="subjects").studies] == sorted(
        plan_of(store).datasets["blobs"].folds
    )


@pytest.mark.parametrize(("protocol", "groups"), [("lodo", 2), ("hde", 2)])
def test_where_datasets_are_held_out_each_is_a_group(store: Store, protocol: str, groups: int) -> None:
    chosen = Experiment.model_validate({**experiment().model_dump(exclude_unset=True), "protocol": protocol})
    plan = make_plan(resolve(chosen, store))
    planned = plan.datasets["blobs"]
    assert len(plan.studies) == groups
    for study in plan.studies:
        assert planned.groups[study.group] == (study.group,)
        seen = {i for d in planned.divisions[0][study.group] for i in (*d.train_ids, *d.validation_ids)}
        assert seen == set(planned.folds[study.group].train_ids)


def test_too_few_subjects_for_a_search_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(3))
    with pytest.raises(BadInput, match=r"leaves 2 subjects for the search, which needs 3 \(take the key `search` out"):
        plan_of(store)
    write_blobs(store, "blobs", blob_clips(4))
    planned = plan_of(store, groups=9).datasets["blobs"]
    assert len(planned.groups) == len(planned.folds) == 4


def test_the_lists_are_written_out(store: Store) -> None:
    planned = plan_of(store).datasets["blobs"]
    lines = search_splits(planned.groups, planned.divisions).splitlines()
    assert lines[0] == "seed,group,division,role,clip"
    assert "0,group-1,,held-out," + planned.groups["group-1"][0] in lines
    of_first = [line.split(",") for line in lines if line.startswith("0,group-1,1,")]
    division = planned.divisions[0]["group-1"][0]
    assert tuple(row[4] for row in of_first if row[3] == "train") == division.train_ids
    assert tuple(row[4] for row in of_first if row[3] == "validation") == division.validation_ids
    assert sum(",held-out," in line for line in lines) == len(planned.folds)
