"""Whom a search may look at: held-out subjects in groups, and for each group divisions of all the others.

What serves a group sees no clip of it. The groups are made without looking at any class; the divisions, which are of
subjects that the group's folds train on anyway, are as even in classes as whole subjects allow.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mer_data.hashing import digest
from mer_data.protocols import Fold
from mer_data.schema import Clip

FEWEST = 3  # subjects that a search needs: two to train on, in one of its divisions, and one to validate on


@dataclass(frozen=True)
class Division:
    """One training of a search: clip ids to train on and to validate on, both sorted. No subject is on both sides."""

    train_ids: tuple[str, ...]
    validation_ids: tuple[str, ...]


Groups = Mapping[str, tuple[str, ...]]


def make_groups(folds: Mapping[str, Fold], clips: Sequence[Clip], count: int | None) -> dict[str, tuple[str, ...]]:
    """Divide what is held out into groups, each served by a search of its own. No class is looked at.

    Each source dataset is dealt out by itself, largest subjects first, each to the group that has the fewest clips of
    that source and, of equals, the fewest clips. So groups are as even in sources and in clips as whole subjects allow.

    Parameters
    ----------
    folds
        By what is held out.
    clips
        All clips of the cohort.
    count
        How many groups; None for a group of its own for whatever is held out, as always where whole datasets are.

    Returns
    -------
    By the group's name, what is held out, sorted: ``group-1``, ...; a group of one has the name of the one.
    """
    loso = all(fold.protocol == "loso" for fold in folds.values())
    if count is None or count >= len(folds) or not loso:
        return {held_out: (held_out,) for held_out in sorted(folds)}
    size, source = Counter(clip.subject for clip in clips), {clip.subject: clip.dataset for clip in clips}
    members: list[list[str]] = [[] for _ in range(count)]
    of_source: Counter[tuple[str, int]] = Counter()
    of_all: Counter[int] = Counter()
    for subject in sorted(folds, key=lambda name: (source[name], -size[name], name)):
        group = min(range(count), key=lambda index: (of_source[source[subject], index], of_all[index], index))
        members[group].append(subject)
        of_source[source[subject], group] += size[subject]
        of_all[group] += size[subject]
    return {f"group-{number}": tuple(sorted(names)) for number, names in enumerate(members, 1)}


def pool(folds: Iterable[Fold]) -> tuple[str, ...]:
    """The clips that a group's search may see: those that all of its folds train on, sorted."""
    shared: set[str] = set.intersection(*(set(fold.train_ids) for fold in folds))
    return tuple(sorted(shared))


def divide(clips: Sequence[Clip], labels: Sequence[str], count: int, seed: int) -> tuple[Division, ...]:
    """Divide a group's pool for cross-validation: each subject validates in exactly one division.

    Parameters
    ----------
    clips, labels
        The clips of the pool with their classes. Each class of each source dataset is spread over the divisions as
        evenly as whole subjects allow.
    count
        How many divisions; as many as there are subjects, if these are fewer.
    seed
        Decides between divisions that are equally good.

    Raises
    ------
    ValueError
        If there are fewer than three subjects.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # a second to import, and needed by searches only

    subjects = np.array([clip.subject for clip in clips])
    people = len(set(subjects.tolist()))
    if people < FEWEST:
        raise ValueError(f"leaves {people} subjects for the search, which needs {FEWEST}")
    strata = [f"{clip.dataset} {label}" for clip, label in zip(clips, labels, strict=True)]
    draw = int(digest([sorted(clip.id for clip in clips), seed])[:8], 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer clips than divisions is no reason to stop
        parts = StratifiedGroupKFold(min(count, people), shuffle=True, random_state=draw).split(
            subjects, strata, groups=subjects
        )
        made = [[sorted(clips[index].id for index in side) for side in sides] for sides in parts]
    # With very uneven subjects a part may be empty; what validates nobody says nothing.
    return tuple(Division(tuple(train), tuple(validating)) for train, validating in made if validating)


def check(group: Sequence[Fold], divisions: Sequence[Division], clips: Sequence[Clip]) -> None:
    """Assert what makes a search blind.

    Raises
    ------
    AssertionError
        If a subject that the group holds out is seen, a subject is on both sides of a division, or a clip of the pool
        does not validate exactly once. This is a bug of ours, never bad input.
    """
    subject_of = {clip.id: clip.subject for clip in clips}
    hidden = {subject_of[clip_id] for fold in group for clip_id in fold.test_ids}
    for division in divisions:
        sides = [{subject_of[i] for i in ids} for ids in (division.train_ids, division.validation_ids)]
        if hidden & (sides[0] | sides[1]):
            raise AssertionError(f"{sorted(hidden & (sides[0] | sides[1]))} are held out and seen by their search")
        if sides[0] & sides[1] or not sides[0] or not sides[1]:
            raise AssertionError("a division shares subjects between its sides, or has none on one")
    if sorted(i for division in divisions for i in division.validation_ids) != list(pool(group)):
        raise AssertionError("a clip does not validate exactly once")


def search_splits(groups: Groups, divisions: Mapping[int, Mapping[str, Sequence[Division]]]) -> str:
    """Who may look at whom, as CSV text ``seed,group,division,role,clip``, for the eyes of others and for a checksum.

    What a group holds out stands once per group, with the role ``held-out`` and in place of a clip.
    """
    lines = ["seed,group,division,role,clip"]
    for seed, by_group in divisions.items():
        for group, of_group in by_group.items():
            lines += [f"{seed},{group},,held-out,{name}" for name in groups[group]]
            for number, division in enumerate(of_group, 1):
                lines += [f"{seed},{group},{number},train,{clip_id}" for clip_id in division.train_ids]
                lines += [f"{seed},{group},{number},validation,{clip_id}" for clip_id in division.validation_ids]
    return "\n".join(lines) + "\n"
