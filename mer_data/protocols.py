"""How clips become folds: ids only, checked, with no knowledge of arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mer_data.schema import Clip


@dataclass(frozen=True)
class Fold:
    """One held-out subject (or database).

    Attributes
    ----------
    protocol
        The protocol's name, for instance ``loso``.
    held_out
        What is held out: a qualified subject.
    train_ids, test_ids
        Clip ids, sorted. No subject is on both sides.
    """

    protocol: str
    held_out: str
    train_ids: tuple[str, ...]
    test_ids: tuple[str, ...]


def loso(clips: Sequence[Clip]) -> tuple[Fold, ...]:
    """Leave one subject out: a fold per subject, in sorted order; every clip is tested exactly once."""
    by_subject: defaultdict[str, list[str]] = defaultdict(list)
    for clip in clips:
        by_subject[clip.subject].append(clip.id)
    everything = sorted(clip.id for clip in clips)
    folds = []
    for subject in sorted(by_subject):
        test = frozenset(by_subject[subject])
        train = tuple(clip_id for clip_id in everything if clip_id not in test)
        folds.append(Fold("loso", subject, train, tuple(sorted(test))))
    check(folds, clips)
    return tuple(folds)


PROTOCOLS: Mapping[str, Callable[[Sequence[Clip]], tuple[Fold, ...]]] = {"loso": loso}


def check(folds: Iterable[Fold], clips: Sequence[Clip]) -> None:
    """Assert what every protocol promises.

    Raises
    ------
    AssertionError
        If a clip is not tested exactly once, a subject is on both sides of a fold, or a side is empty. This
        is a bug in a protocol, never bad input: the clip table was validated before.
    """
    subject_of = {clip.id: clip.subject for clip in clips}
    tested: list[str] = []
    for fold in folds:
        tested += fold.test_ids
        for side, ids in (("training", fold.train_ids), ("test", fold.test_ids)):
            if not ids:
                raise AssertionError(f"fold {fold.held_out} has no {side} clips: are there two subjects?")
            if not set(ids) <= subject_of.keys() or len(set(ids)) < len(ids):
                raise AssertionError(f"fold {fold.held_out}: unknown or repeated clips in {side}")
        both = {subject_of[i] for i in fold.train_ids} & {subject_of[i] for i in fold.test_ids}
        if both:
            raise AssertionError(f"fold {fold.held_out}: {sorted(both)} in training and in test")
    if sorted(tested) != sorted(subject_of):
        raise AssertionError("a clip is not tested exactly once")
