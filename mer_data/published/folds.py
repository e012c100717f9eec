"""Folds as another project shared them out: a training and a test half for every held-out subject."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mer_data.problems import Problem
from mer_data.published.foreign import few

Half = dict[str, tuple[str, str]]  # clip id to label and file


@dataclass(frozen=True)
class Fold:
    """One fold: the qualified subject held out, what each half holds, and the folder or list that says so."""

    subject: str
    test: Half
    train: Half
    test_at: Path
    train_at: Path


def check_folds(root: Path, folds: Sequence[Fold], problems: list[Problem], *, owner: str, test: str) -> Half:
    """Check that every clip is tested in the fold of its own subject alone, and that all folds hold the same clips.

    Parameters
    ----------
    root
        The folder of all folds; the halves are named relative to it.
    folds
        One for each subject.
    problems
        Where problems are added.
    owner, test
        What to call the whole, as in ``the tree's clips``, and a test half.

    Returns
    -------
    The clips in the test half of their own subject.
    """
    tested: Half = {}
    for fold in folds:
        _check_subject(fold, problems)
        tested |= {clip_id: found for clip_id, found in fold.test.items() if clip_id.startswith(f"{fold.subject}/")}
    places: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for fold in folds:
        for at, half in ((fold.test_at, fold.test), (fold.train_at, fold.train)):
            for clip_id, (label, _) in half.items():
                places[clip_id][label].append(at.relative_to(root).as_posix())
        if lacking := tested.keys() - fold.test.keys() - fold.train.keys():
            halves = f"{fold.train_at.name} and {fold.test_at.name}"
            what = f"{halves} lack {len(lacking)} of {owner} clips: {few(lacking)}"
            problems.append(Problem(str(fold.test_at.parent), what, "restore them from the original"))
    for clip_id, by_label in sorted(places.items()):
        if clip_id not in tested:
            what = f"clip {clip_id} is in no {test} of its subject, but in {few(chain(*by_label.values()))}"
            problems.append(Problem(str(root), what, "restore it there"))
        if len(by_label) > 1:
            said = "; ".join(f"{label} in {few(by_label[label])}" for label in sorted(by_label))
            problems.append(Problem(str(root), f"clip {clip_id} has several labels: {said}", "keep the right one"))
    return tested


def _check_subject(fold: Fold, problems: list[Problem]) -> None:
    """Check that a fold's test clips are those of its subject; then no clip can be on both sides."""
    own = f"{fold.subject}/"
    if not fold.test:
        problems.append(Problem(str(fold.test_at), "holds no PNG", f"restore those of {fold.subject}"))
    if strangers := [clip_id for clip_id in fold.test if not clip_id.startswith(own)]:
        what = f"holds clips of other subjects than {fold.subject}: {few(strangers)}"
        problems.append(Problem(str(fold.test_at), what, f"move them to {fold.train_at.name}"))
    if leaked := [clip_id for clip_id in fold.train if clip_id.startswith(own)]:
        what = f"holds clips of the held-out subject {fold.subject}: {few(leaked)}"
        problems.append(Problem(str(fold.train_at), what, f"keep them in {fold.test_at.name} only"))
