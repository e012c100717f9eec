"""Leave-one-subject-out: every clip tested once, its subject never in training; broken folds are caught."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_data.protocols import PROTOCOLS, Fold, check, hde, lodo, loso, splits
from mer_data.schema import Clip

people = st.tuples(st.sampled_from(["casme2", "smic", "samm"]), st.integers(1, 5)).map(lambda p: f"{p[0]}/{p[1]}")


@st.composite
def clip_tables(draw: st.DrawFn, least: int = 2) -> list[Clip]:
    """Clips of at least `least` subjects, in any order, each once."""
    subjects = draw(st.lists(people, min_size=least, max_size=8, unique=True))
    clips = [
        Clip(subject.partition("/")[0], subject, f"clip{number}", "surprise")
        for subject in subjects
        for number in range(draw(st.integers(1, 4)))
    ]
    return draw(st.permutations(clips))


def clips_of(counts: dict[str, int]) -> list[Clip]:
    return [
        Clip(person.partition("/")[0], person, f"c{n}", "negative")
        for person, count in counts.items()
        for n in range(count)
    ]


CLIPS = clips_of({"samm/006": 2, "casme2/sub01": 1, "smic/s01": 3})


@given(clip_tables())
def test_loso_tests_every_clip_once_and_keeps_subjects_apart(clips: list[Clip]) -> None:
    folds = loso(clips)
    subject_of = {clip.id: clip.subject for clip in clips}
    assert Counter(clip_id for fold in folds for clip_id in fold.test_ids) == Counter(subject_of.keys())
    for fold in folds:
        assert fold.protocol == "loso"
        assert {subject_of[clip_id] for clip_id in fold.test_ids} == {fold.held_out}
        assert fold.held_out not in {subject_of[clip_id] for clip_id in fold.train_ids}
        assert sorted([*fold.train_ids, *fold.test_ids]) == sorted(subject_of)


@given(clip_tables())
def test_loso_is_sorted_whatever_the_order_of_the_clips(clips: list[Clip]) -> None:
    folds = loso(clips)
    assert [fold.held_out for fold in folds] == sorted({clip.subject for clip in clips})
    for fold in folds:
        assert list(fold.train_ids) == sorted(fold.train_ids)
        assert list(fold.test_ids) == sorted(fold.test_ids)
    assert loso(random.Random(1).sample(clips, len(clips))) == folds


def test_loso_by_hand() -> None:
    assert [fold.held_out for fold in loso(CLIPS)] == ["casme2/sub01", "samm/006", "smic/s01"]
    first = loso(CLIPS)[0]
    assert first.test_ids == ("casme2/sub01/c0",)
    assert first.train_ids == ("samm/006/c0", "samm/006/c1", "smic/s01/c0", "smic/s01/c1", "smic/s01/c2")


def test_the_same_number_in_two_datasets_is_two_people() -> None:
    folds = loso(clips_of({"casme/sub01": 1, "casme2/sub01": 1}))
    assert [fold.held_out for fold in folds] == ["casme/sub01", "casme2/sub01"]


def test_protocols_are_known_by_name() -> None:
    assert PROTOCOLS["loso"] is loso


def test_check_passes_right_folds() -> None:
    check(loso(CLIPS), CLIPS)


def broken(change: str) -> list[Fold]:
    first, *rest = loso(CLIPS)  # held out: casme2/sub01, with one clip; then samm/006 with two
    second = rest[0]
    match change:
        case "a fold is missing":
            return rest
        case "a fold is there twice":
            return [first, first, *rest]
        case "a clip is never tested":
            return [first, replace(second, test_ids=second.test_ids[1:]), *rest[1:]]
        case "a clip is tested twice":
            return [first, replace(second, test_ids=(*second.test_ids, second.test_ids[0])), *rest[1:]]
        case "a test clip is trained on":
            return [replace(first, train_ids=(*first.train_ids, *first.test_ids)), *rest]
        case "another clip of the test subject is trained on":
            half = replace(second, train_ids=(*second.train_ids, second.test_ids[1]), test_ids=second.test_ids[:1])
            return [first, half, *rest[1:]]
        case "the test side is empty":
            return [first, *rest, Fold("loso", "samm/007", first.train_ids, ())]
        case "the training side is empty":
            return [replace(first, train_ids=()), *rest]
        case "an unknown clip is trained on":
            return [replace(first, train_ids=(*first.train_ids, "samm/099/c0")), *rest]
        case "an unknown clip is tested":
            return [first, *rest, Fold("loso", "samm/099", first.train_ids, ("samm/099/c0",))]
    raise ValueError(change)


@pytest.mark.parametrize(
    "change",
    [
        "a fold is missing",
        "a fold is there twice",
        "a clip is never tested",
        "a clip is tested twice",
        "a test clip is trained on",
        "another clip of the test subject is trained on",
        "the test side is empty",
        "the training side is empty",
        "an unknown clip is trained on",
        "an unknown clip is tested",
    ],
)
def test_check_catches_broken_folds(change: str) -> None:
    folds = broken(change)
    with pytest.raises(AssertionError):
        check(folds, CLIPS)


def test_one_subject_cannot_be_left_out() -> None:
    with pytest.raises(Exception, match="subject"):
        loso(clips_of({"samm/006": 3}))


def test_lodo_holds_out_one_dataset_in_turn() -> None:
    clips = clips_of({"samm/006": 3, "samm/007": 1, "casme2/sub01": 2})
    folds = lodo(clips)
    assert [fold.held_out for fold in folds] == ["casme2", "samm"]
    assert all(clip_id.startswith(fold.held_out) for fold in folds for clip_id in fold.test_ids)
    assert not any(clip_id.startswith(fold.held_out) for fold in folds for clip_id in fold.train_ids)


def test_hde_trains_on_one_dataset_and_tests_on_another_in_every_pairing() -> None:
    clips = clips_of({"samm/006": 3, "samm/007": 1, "casme2/sub01": 2, "smic/s01": 2})
    folds = hde(clips)
    names = ("casme2", "samm", "smic")
    assert [f.held_out for f in folds] == [f"{train}-to-{test}" for test in names for train in names if train != test]
    for fold in folds:
        train, _, test = fold.held_out.partition("-to-")
        assert set(fold.train_ids) == {clip.id for clip in clips if clip.dataset == train}
        assert set(fold.test_ids) == {clip.id for clip in clips if clip.dataset == test}


def test_check_catches_a_missing_pairing() -> None:
    clips = clips_of({"samm/006": 3, "casme2/sub01": 2, "smic/s01": 2})
    with pytest.raises(AssertionError, match="2 times"):
        check(hde(clips)[1:], clips, times=2)


def test_splits_name_every_clip_once_per_fold() -> None:
    clips = clips_of({"samm/006": 3, "samm/007": 1})
    lines = splits(loso(clips)).splitlines()
    assert lines[0] == "fold,role,clip"
    assert len(lines) == len(set(lines)) == 1 + 2 * 4
