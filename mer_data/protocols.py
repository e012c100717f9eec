"""How clips become folds: ids only, checked, with no knowledge of arrays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mer_data.schema import Clip


@dataclass(frozen=True)
class Fold:
    """One held-out subject, or dataset.

    Attributes
    ----------
    protocol
        The protocol's name, for instance ``loso``.
    held_out
        What is held out: a qualified subject, or a dataset; under ``hde`` a pair, ``casme2-to-samm``.
    train_ids, test_ids
        Clip ids, sorted. No subject is on both sides.
    """

    protocol: str
    held_out: str
    train_ids: tuple[str, ...]
    test_ids: tuple[str, ...]


def loso(clips: Sequence[Clip]) -> tuple[Fold, ...]:
    """Leave one subject out: a fold per subject, in sorted order; every clip is tested exactly once."""
    return _leave_out("loso", clips, lambda clip: clip.subject)


def lodo(clips: Sequence[Clip]) -> tuple[Fold, ...]:
    """Leave one dataset out: train on the others, test on one; a fold per source dataset, in sorted order."""
    return _leave_out("lodo", clips, lambda clip: clip.dataset)


def hde(clips: Sequence[Clip]) -> tuple[Fold, ...]:
    """Hold-out database: train on one source dataset, test on another; a fold per ordered pair, by the test side.

    Every clip is tested once per other dataset, so the folds are separate runs: their scores are averaged, their
    predictions never pooled (MEGC 2018 has two such runs).
    """
    by_dataset: defaultdict[str, list[str]] = defaultdict(list)
    for clip in clips:
        by_dataset[clip.dataset].append(clip.id)
    folds = [
        Fold("hde", f"{train}-to-{test}", tuple(sorted(by_dataset[train])), tuple(sorted(by_dataset[test])))
        for test in sorted(by_dataset)
        for train in sorted(by_dataset)
        if train != test
    ]
    check(folds, clips, times=len(by_dataset) - 1)
    return tuple(folds)


def _leave_out(protocol: str, clips: Sequence[Clip], group: Callable[[Clip], str]) -> tuple[Fold, ...]:
    by_group: defaultdict[str, list[str]] = defaultdict(list)
    for clip in clips:
        by_group[group(clip)].append(clip.id)
    everything = sorted(clip.id for clip in clips)
    folds = []
    for held_out in sorted(by_group):
        test = frozenset(by_group[held_out])
        train = tuple(clip_id for clip_id in everything if clip_id not in test)
        folds.append(Fold(protocol, held_out, train, tuple(sorted(test))))
    check(folds, clips)
    return tuple(folds)


PROTOCOLS: Mapping[str, Callable[[Sequence[Clip]], tuple[Fold, ...]]] = {"loso": loso, "hde": hde, "lodo": lodo}


def splits(folds: Iterable[Fold]) -> str:
    """Folds as CSV text ``fold,role,clip``, for the eyes of others and for a checksum."""
    lines = ["fold,role,clip"]
    for fold in folds:
        lines += [f"{fold.held_out},{role},{i}" for role, ids in _roles(fold) for i in ids]
    return "\n".join(lines) + "\n"


def _roles(fold: Fold) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("train", fold.train_ids), ("test", fold.test_ids)


def check(folds: Iterable[Fold], clips: Sequence[Clip], times: int = 1) -> None:
    """Assert what every protocol promises.

    Raises
    ------
    AssertionError
        If a clip is not tested exactly `times` times, a subject is on both sides of a fold, or a side is empty. This
        is a bug in a protocol, never bad input: the clip table was validated before.
    """
    subject_of = {clip.id: clip.subject for clip in clips}
    tested: Counter[str] = Counter()
    for fold in folds:
        tested.update(fold.test_ids)
        for side, ids in (("training", fold.train_ids), ("test", fold.test_ids)):
            if not ids:
                raise AssertionError(f"fold {fold.held_out} has no {side} clips: are there two subjects?")
            if not set(ids) <= subject_of.keys() or len(set(ids)) < len(ids):
                raise AssertionError(f"fold {fold.held_out}: unknown or repeated clips in {side}")
        both = {subject_of[i] for i in fold.train_ids} & {subject_of[i] for i in fold.test_ids}
        if both:
            raise AssertionError(f"fold {fold.held_out}: {sorted(both)} in training and in test")
    if any(tested[clip_id] != times for clip_id in subject_of):
        raise AssertionError("a clip is not tested exactly " + ("once" if times == 1 else f"{times} times"))
